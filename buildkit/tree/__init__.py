"""Files as values: `entry.py`, walking without paths, fingerprints."""
