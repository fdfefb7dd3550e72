"""Packages of the distributions: dpkg's and apk's databases, and os-release.

In: files of an image. Out: packages. Source: deb-control(5), dpkg's status file; Alpine's
"Apk spec", installed database; os-release(5). Debian's images without dpkg have one file a
package in status.d.
"""

from __future__ import annotations

from collections.abc import Iterator

from buildkit.attestation.files import ImageFiles
from buildkit.attestation.package import Distribution, Package, stanzas

_DPKG = "var/lib/dpkg/status"
_APK = ("lib/apk/db/installed", "usr/lib/apk/db/installed")
_OS_RELEASE = ("etc/os-release", "usr/lib/os-release")
_LIMIT = 64 << 20
_PART = 1 << 20


def distribution(files: ImageFiles) -> Distribution:
    """Return which distribution the image is made of."""
    data = next(filter(None, (files.read(path, _PART) for path in _OS_RELEASE)), b"")
    found = {}
    for line in data.decode("utf-8", "replace").splitlines():
        name, _, value = line.partition("=")
        found[name.strip()] = value.strip().strip("\"'")
    return Distribution(found.get("ID", ""), found.get("VERSION_ID", ""))


def dpkg(files: ImageFiles) -> Iterator[Package]:
    """Yield the packages that dpkg has installed."""
    yield from _debian(files.read(_DPKG, _LIMIT) or b"", _DPKG)
    for name in files.names(f"{_DPKG}.d"):
        if not name.endswith(".md5sums"):
            path = f"{_DPKG}.d/{name}"
            yield from _debian(files.read(path, _PART) or b"", path)


def _debian(data: bytes, place: str) -> Iterator[Package]:
    for fields in stanzas(data):
        # What was removed and not purged is listed as well.
        if fields.get("Status", "install ok installed").split()[-1:] == ["installed"]:
            yield Package(
                kind="deb",
                name=fields.get("Package", ""),
                version=fields.get("Version", ""),
                architecture=fields.get("Architecture", ""),
                source=fields.get("Source", ""),
                place=place,
            )


def apk(files: ImageFiles) -> Iterator[Package]:
    """Yield the packages that apk has installed."""
    for path in _APK:
        for fields in stanzas(files.read(path, _LIMIT) or b""):
            origin = fields.get("o", "")
            yield Package(
                kind="apk",
                name=fields.get("P", ""),
                version=fields.get("V", ""),
                architecture=fields.get("A", ""),
                license=fields.get("L", ""),
                source=origin if origin != fields.get("P") else "",
                place=path,
            )
