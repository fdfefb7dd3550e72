"""The state root: `root.py` (layout), `database.py`, `schema.py`, `lease.py`, `locks.py`."""
