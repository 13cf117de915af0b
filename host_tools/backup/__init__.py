"""Backup, restore and verification of the settlement store, while it is in use or at rest."""
