"""Which package of this machine a file came from, as dpkg and apk note it.

In: absolute paths. Out: `NAME VERSION` for those that a package owns.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable


def owners(paths: Iterable[str], root: str = "/") -> dict[str, str]:
    """Return the package of each path that has one; nothing where there is no package database."""
    wanted = set(paths)
    found = _dpkg(wanted, root)
    return found or _apk(wanted, root)


def _dpkg(wanted: set[str], root: str) -> dict[str, str]:
    names: dict[str, str] = {}
    # What dpkg has as /bin/ls may lie in /usr/bin since the merge, and the other way round.
    spelled = {other: path for path in wanted for other in (path, _other_side(path))}
    for name in glob.glob(os.path.join(root, "var/lib/dpkg/info/*.list")):
        with open(name, encoding="utf-8", errors="surrogateescape") as file:
            for line in spelled.keys() & file.read().splitlines():
                names[spelled[line]] = os.path.basename(name)[:-5].partition(":")[0]
    if not names:
        return {}
    versions = _dpkg_versions(os.path.join(root, "var/lib/dpkg/status"))
    return {path: f"{name} {versions.get(name, '')}".strip() for path, name in names.items()}


def _other_side(path: str) -> str:
    return path[4:] if path.startswith("/usr/") else f"/usr{path}"


def _dpkg_versions(status: str) -> dict[str, str]:
    versions: dict[str, str] = {}
    name = ""
    with open(status, encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith("Package: "):
                name = line[9:].strip()
            elif line.startswith("Version: "):
                versions[name] = line[9:].strip()
    return versions


def _apk(wanted: set[str], root: str) -> dict[str, str]:
    """Read apk's database: `P:` name, `V:` version, `F:` directory, `R:` file in it."""
    found: dict[str, str] = {}
    try:
        with open(os.path.join(root, "lib/apk/db/installed"), encoding="utf-8") as file:
            text = file.read()
    except (OSError, ValueError):
        return {}
    name = version = directory = ""
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key == "P":
            name = value
        elif key == "V":
            version = value
        elif key == "F":
            directory = value
        elif key == "R" and (path := f"/{directory}/{value}") in wanted:
            found[path] = f"{name} {version}"
    return found
