"""Bringing a module to life: the files it gets, and later the tools that write them."""
