"""Is the store sound? `fsck(root, full=, repair=)` gives findings."""

from __future__ import annotations

from buildkit.fsck.check import fsck
from buildkit.fsck.finding import Finding

__all__ = ["Finding", "fsck"]
