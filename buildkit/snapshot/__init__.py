"""Snapshots: trees as stacks of layers. `snapshot.py` has the values, `store.py` the seam."""
