"""Rating on the host: protocol.tariff prices; what needs a whole period is here."""
