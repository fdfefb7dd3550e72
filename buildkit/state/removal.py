"""Removing trees: `remove_tree` of `runtime.removal`, which monitors of containers need too."""

from __future__ import annotations

from runtime.removal import remove_tree as remove_tree
