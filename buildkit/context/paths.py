"""Paths inside a tree, as text: cleaning and joining, with no look at any disk.

In: paths as a Dockerfile or an ignore file gives them. Out: paths relative to the root of a tree,
`/` between parts, empty for the root itself. Source: Go's path/filepath, which the language of
Dockerfiles is defined by. Names are `str` as `os` decodes them (surrogateescape), so that every
byte of a name survives; they are ordered by their bytes.
"""

from __future__ import annotations

import os
import sys

_UTF8 = sys.getfilesystemencoding() == "utf-8"


def clean(path: str) -> str:
    """Return `path` as Go's `filepath.Clean` does: `./a/../b` is `b`, nothing is `.`."""
    rooted = path.startswith("/")
    parts: list[str] = []
    for part in path.split("/"):
        if part in ("", "."):
            continue
        if part != "..":
            parts.append(part)
        elif parts and parts[-1] != "..":
            parts.pop()
        elif not rooted:
            parts.append(part)
    text = "/".join(parts)
    return f"/{text}" if rooted else text or "."


def within(path: str) -> str:
    """Return `path` relative to the root of its tree; `..` ends at the root, the root is empty."""
    return clean(f"/{path}")[1:]


def join(directory: str, name: str) -> str:
    """Return `name` below `directory`, both relative to the root."""
    return f"{directory}/{name}" if directory and name else directory or name


def native(text: str) -> str:
    """Return `text`, which was decoded as UTF-8, as `os` would have decoded its bytes."""
    return text if _UTF8 else os.fsdecode(text.encode("utf-8", "surrogateescape"))


def byte_order(name: str) -> bytes:
    """Sort key: the bytes of a name."""
    return os.fsencode(name)
