"""Finds or makes the result of each vertex."""
