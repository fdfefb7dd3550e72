"""The build graph: what is done, and on what."""
