"""OCI documents and names as values, and their encodings; a module a document."""
