"""What commands do, one module an action; see firmware/commands.py."""
