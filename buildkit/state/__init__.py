"""The state root: layout, database, leases and locks."""
