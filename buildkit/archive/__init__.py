"""Images from archives and layout directories."""
