"""Readings and bills leave and enter as CSV, Green Button XML and Home Assistant discovery."""
