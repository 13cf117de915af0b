"""Keeping the settlement running: health, metrics, logs, and the doctor."""
