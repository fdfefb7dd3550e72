"""Build contexts."""
