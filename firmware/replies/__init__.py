"""Answers of the console, one module a command: `async reply(console, words)`."""
