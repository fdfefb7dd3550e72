"""What every root file system has, however few programs: places, accounts, name services.

Out: tree entries. The layout of `/bin`, `/sbin`, `/lib` and their like follows this machine's,
merged into `/usr` or not, since programs are taken to where they lie here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from buildkit.base.tree import Directory, Entry, Link, Text

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_PLACES: Mapping[str, int] = {
    "dev": 0o755,
    "etc": 0o755,
    "home": 0o755,
    "proc": 0o555,
    "root": 0o700,
    "run": 0o755,
    "sys": 0o555,
    "tmp": 0o1777,
    "usr": 0o755,
    "usr/bin": 0o755,
    "usr/lib": 0o755,
    "usr/local": 0o755,
    "usr/local/bin": 0o755,
    "usr/sbin": 0o755,
    "var": 0o755,
    "var/tmp": 0o1777,
}

_TEXTS: Mapping[str, str] = {
    "etc/passwd": (
        "root:x:0:0:root:/root:{shell}\n"
        "daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n"
        "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
    ),
    "etc/group": "root:x:0:\ndaemon:x:1:\ntty:x:5:\nusers:x:100:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": (
        "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n"
        "networks: files\nprotocols: files\nservices: files\n"
    ),
}


def skeleton(shell: str) -> dict[str, Entry]:
    """Return the entries; `shell` is root's, `/bin/sh` or whatever there is."""
    entries: dict[str, Entry] = {path: Directory(mode) for path, mode in _PLACES.items()}
    for path, content in _TEXTS.items():
        entries[path] = Text(content.format(shell=shell))
    for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        entries.update(_as_here(name))
    return entries


def _as_here(name: str) -> dict[str, Entry]:
    """Return the top-level directory `name` as it is on this machine, with what it links to."""
    place = f"/{name}"
    if os.path.islink(place):
        target = os.readlink(place)
        inside = os.path.normpath(os.path.join("/", target)).lstrip("/")
        if inside == f"usr/{name}":
            return {name: Link(target), inside: Directory()}
    return {name: Directory()} if name in ("bin", "sbin", "lib") else {}
