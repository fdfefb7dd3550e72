"""OCI documents and names as values."""
