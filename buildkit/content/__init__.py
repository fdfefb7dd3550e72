"""Blobs by digest: `store.py` is the seam, `local.py` keeps them in files."""
