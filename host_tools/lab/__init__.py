"""A desk to train on: bare virtual modules with consoles, meters, and faults to be found."""
