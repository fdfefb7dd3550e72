"""Base images made from this machine, for where no registry is at hand."""
