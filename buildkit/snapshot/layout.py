"""Names of what lies in the directory of a layer; `layers.py` says what it is."""

from __future__ import annotations

TREE = "fs"
"""The directory of a layer's tree."""

PIECES = "tar"
"""The directory of the pieces of a layer's tar."""

INDEX = "index"
"""The file in it that tells of them; it is written last."""
