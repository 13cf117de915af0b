"""The settlement store, on SQLite or PostgreSQL, opened through `database.open_store`."""
