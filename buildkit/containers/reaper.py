"""The reaper of `run --init`: where this machine has one.

In: nothing. Out: a path, or UsageError. Imported for that option only.
"""

from __future__ import annotations

import os

from buildkit.errors import UsageError

_INITS = ("catatonit", "docker-init", "tini-static", "podman-init", "tini")
_DIRECTORIES = ("/usr/libexec/podman", "/usr/libexec/docker", "/usr/bin", "/bin", "/usr/sbin")


def program() -> str:
    """Return the reaper of `--init`: a program of the host that needs nothing beside it."""
    for name in _INITS:
        for directory in _DIRECTORIES:
            path = f"{directory}/{name}"
            if os.access(path, os.X_OK) and _is_static(path):
                return path
    raise UsageError(
        "--init needs a static init program, and this machine has none",
        hint=f"install one of {', '.join(_INITS)}",
    )


def _is_static(path: str) -> bool:
    """Whether a program asks for no interpreter: no dynamic loader's path in its head."""
    with open(path, "rb") as file:
        head = file.read(4096)
    return head.startswith(b"\x7fELF") and b"/ld-" not in head
