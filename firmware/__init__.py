"""The module's firmware; read main.py first."""
