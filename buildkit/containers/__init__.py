"""Containers: `create.py`, `store.py` (which are there), `volumes.py`, `files.py` (cp, diff)."""
