"""The settlement store: one SQLite file, opened through `database.open_store`."""
