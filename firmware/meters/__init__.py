"""Meters of the module: Modbus meters by map, pulse meters by constant, one kind of reading."""
