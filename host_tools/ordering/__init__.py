"""Orders of persons to modules: checked here, queued, and shown with what became of them."""
