"""Bills and statements from settled charges. Posts nothing."""
