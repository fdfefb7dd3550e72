"""What was built, step by step."""
