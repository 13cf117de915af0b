"""What is written to a module's flash from a PC, without ESP-IDF."""
