"""The care of modules in the field: looked at, replaced, retired, given new keys and programs."""
