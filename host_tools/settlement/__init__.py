"""Settlement: what modules send becomes entries, postings and acknowledgements, exactly once."""
