"""Packages of Python, npm and Go, which lie where they were put: the tree is searched for them.

In: files of an image. Out: packages. Source: PyPA "Core metadata specifications" and "Recording
installed projects"; npm's docs, package.json and folders.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from buildkit.attestation import go_modules
from buildkit.attestation.files import ImageFiles
from buildkit.attestation.package import Package, stanzas
from buildkit.tree.walk import outline

_PYTHON = re.compile(rb"(?:^|/)[^/]+\.(?:dist-info/METADATA|egg-info/PKG-INFO|egg-info)$")
_NPM = re.compile(rb"(?:^|/)node_modules/(?:@[^/]+/)?[^/@.][^/]*/package\.json$")
_ENDS = (b"/METADATA", b"/PKG-INFO", b".egg-info")
_LIMIT = 4 << 20
_LICENSE = 200
"""Characters of a name of a license; old packages have the whole text there."""
_MOST = 100_000


def installed(files: ImageFiles) -> Iterator[Package]:
    """Yield the packages of Python, npm and Go, in the order of the tree."""
    found = 0
    for entry, fd in outline(files.root_fd):
        files.check()
        path = entry.path
        if go_modules.may_hold(entry):
            yield from go_modules.modules(files, path)
        is_python = fd < 0 and path.endswith(_ENDS) and _PYTHON.search(path) is not None
        if not is_python and (fd >= 0 or not _NPM.search(path)):
            continue
        found += 1
        if found > _MOST:
            files.warn(f"more than {_MOST} packages of Python and npm: the rest is not read")
            return
        data = files.read(path, _LIMIT)
        if data is not None:
            place = path.decode("utf-8", "replace")
            yield from (_python(data, place) if is_python else _npm(data, place))


def _python(data: bytes, place: str) -> Iterator[Package]:
    for fields in stanzas(data):  # what follows the first empty line is the description
        name = re.sub(r"[-_.]+", "-", fields.get("Name", "")).lower()
        said = fields.get("License-Expression") or fields.get("License", "")
        license_name = "" if said == "UNKNOWN" or len(said) > _LICENSE else said
        yield Package("pypi", name, fields.get("Version", ""), license=license_name, place=place)
        return


def _npm(data: bytes, place: str) -> Iterator[Package]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return
    if not isinstance(found, dict):
        return
    name, version, said = (found.get(key) for key in ("name", "version", "license"))
    if isinstance(said, dict):
        said = said.get("type")
    if isinstance(name, str) and isinstance(version, str):
        license_name = said if isinstance(said, str) and len(said) <= _LICENSE else ""
        yield Package("npm", name, version, license=license_name, place=place)
