"""Files as values."""
