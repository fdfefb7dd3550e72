"""Caches that several machines share: `load.py` reads them in, `export.py` writes them out."""
