"""What goes onto modules: flash images, the bundle of an update, the commands that deliver it."""
