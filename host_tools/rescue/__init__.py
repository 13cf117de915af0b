"""What a dead module can still tell: its flash is read, and the host gets what it lacks."""
