"""What goes onto modules: the bundle of an update and the commands that deliver it."""
