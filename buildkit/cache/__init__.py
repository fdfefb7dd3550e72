"""Keys and what they lead to."""
