"""Tars for tests: what `tarfile` writes, and headers that no honest program writes."""

import io
import tarfile
from typing import Any


class Tar:
    """Collects members; `finished` is the archive."""

    def __init__(self, form: int = tarfile.PAX_FORMAT) -> None:
        self._buffer = io.BytesIO()
        self._tar = tarfile.TarFile(fileobj=self._buffer, mode="w", format=form)

    def add(
        self, name: str, kind: bytes = tarfile.REGTYPE, data: bytes = b"", **fields: Any
    ) -> "Tar":
        """Add a member; `fields` are attributes of TarInfo."""
        info = tarfile.TarInfo(name)
        info.type = kind
        info.size = len(data)
        info.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
        for key, value in fields.items():
            setattr(info, key, value)
        self._tar.addfile(info, io.BytesIO(data))
        return self

    def directory(self, name: str, **fields: Any) -> "Tar":
        return self.add(name, tarfile.DIRTYPE, **fields)

    def symlink(self, name: str, target: str) -> "Tar":
        return self.add(name, tarfile.SYMTYPE, linkname=target)

    def hardlink(self, name: str, target: str) -> "Tar":
        return self.add(name, tarfile.LNKTYPE, linkname=target)

    def finished(self) -> bytes:
        self._tar.close()
        return self._buffer.getvalue()

    def unfinished(self) -> bytes:
        """Return the members so far, without the end."""
        return self._buffer.getvalue()


def patched(data: bytes, offset: int, field: bytes) -> bytes:
    """Overwrite a field of the first header and set its checksum right."""
    header = bytearray(data[:512])
    header[offset : offset + len(field)] = field
    header[148:156] = b"        "
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + data[512:]


def pax(records: bytes) -> bytes:
    """Return an extended header with `records` as they are, and an empty file after it."""
    head = Tar().add("./x").unfinished()
    block = patched(head, 156, b"x")
    block = patched(block, 124, b"%011o\0" % len(records))
    return block + records + bytes(-len(records) % 512) + Tar().add("file").finished()
