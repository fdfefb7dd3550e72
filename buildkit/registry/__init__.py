"""Registries: images in and out by the OCI distribution spec; `client.py` is the front door."""
