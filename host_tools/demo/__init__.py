"""`gridpurse demo`: a broker, settlement and three virtual modules play one story and prove it."""
