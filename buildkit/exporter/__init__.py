"""Images to archives and directories."""
