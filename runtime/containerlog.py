"""The log of a container: what it wrote, with times; written by its monitor, read by anybody.

In: output as it comes, by stream. Out: lines `TIME STREAM F|P TEXT`, where P is a part of a line
that goes on in the next entry of its stream; files `log`, `log.1` and so on, the oldest last.
Source: Kubernetes' CRI logging format, which podman's `k8s-file` follows, too.
"""

from __future__ import annotations

import os
import time

from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from runtime.container import Logging


_STREAMS = {1: b"stdout", 2: b"stderr"}
_NUMBERS = {name: number for number, name in _STREAMS.items()}
_LONGEST = 16 << 10


class Entry(NamedTuple):
    """A piece of output. `time` RFC 3339 in UTC with nanoseconds; `text` ends as it was written."""

    time: str
    stream: int
    text: bytes


class Writer:
    """Writes the log in a container's directory. A failure to write is kept, not raised."""

    def __init__(self, directory: str, logging: Logging) -> None:
        self.failure = ""
        self._path = f"{directory}/log"
        self._logging = logging
        self._fd = -1
        self._size = 0

    def write(self, stream: int, data: bytes) -> None:
        """Add what was read from a stream."""
        if not self._logging.files or not data:
            return
        head = b"%s %s " % (now().encode(), _STREAMS[stream])
        parts = []
        for line in data.splitlines(keepends=True):
            whole = line.endswith(b"\n")
            text = line[:-1] if whole else line
            while len(text) > _LONGEST:
                parts.append(b"%sP %s\n" % (head, text[:_LONGEST]))
                text = text[_LONGEST:]
            parts.append(b"%s%s %s\n" % (head, b"F" if whole else b"P", text))
        try:
            self._put(parts)
        except OSError as error:
            self.failure = f"log: {(error.strerror or '').lower()}"

    def _put(self, lines: list[bytes]) -> None:
        """Write lines; a file gets more than its size only by one line that is longer than that."""
        if self._fd < 0:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._fd = os.open(self._path, flags, 0o600)
            self._size = os.fstat(self._fd).st_size
        begin, room = 0, self._logging.size - self._size
        for number, line in enumerate(lines):
            if len(line) > room and (number > begin or self._size):
                self._append(lines[begin:number])
                self._rotate()
                begin, room = number, self._logging.size
            room -= len(line)
        self._append(lines[begin:])

    def _append(self, lines: list[bytes]) -> None:
        data = b"".join(lines)
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]
        self._size += len(data)

    def _rotate(self) -> None:
        os.close(self._fd)
        self._fd = -1
        for number in range(self._logging.files - 1, 0, -1):
            older = self._path if number == 1 else f"{self._path}.{number - 1}"
            try:
                os.rename(older, f"{self._path}.{number}")
            except FileNotFoundError:
                continue
        if self._logging.files == 1:
            os.unlink(self._path)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._fd = os.open(self._path, flags, 0o600)
        self._size = 0

    def close(self) -> None:
        """Close the file; writing opens it again."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class Reader:
    """Reads a log from its oldest entry on; asked again, it goes on where it was."""

    def __init__(self, directory: str) -> None:
        self._path = f"{directory}/log"
        self._fd = -1
        self._rest = b""
        self._files = self._older()

    def entries(self) -> Iterator[Entry]:
        """Yield what is there and has not been read yet."""
        while True:
            if self._fd < 0 and not self._open_next():
                return
            data = os.read(self._fd, 1 << 18)
            if not data:
                if not self._files:
                    if not self._was_rotated():
                        return
                    self._files = self._newer()
                self.close()
                continue
            lines = (self._rest + data).split(b"\n")
            self._rest = lines.pop()
            for line in lines:
                entry = _parse(line)
                if entry is not None:
                    yield entry

    def _older(self) -> list[str]:
        """Return the files of before, the oldest last."""
        found: list[str] = []
        while os.path.exists(f"{self._path}.{len(found) + 1}"):
            found.append(f"{self._path}.{len(found) + 1}")
        return found

    def _newer(self) -> list[str]:
        """Return the files between the one that is being read and the newest, the oldest last."""
        own = os.fstat(self._fd).st_ino
        older = self._older()
        for at, path in enumerate(older):
            try:
                if os.stat(path).st_ino == own:
                    return older[:at]
            except FileNotFoundError:
                break
        return older

    def _open_next(self) -> bool:
        path = self._files.pop() if self._files else self._path
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        self._rest = b""
        return True

    def _was_rotated(self) -> bool:
        """Whether the file that we have read to its end is no longer the newest."""
        try:
            newest = os.stat(self._path)
        except FileNotFoundError:
            return False
        return newest.st_ino != os.fstat(self._fd).st_ino

    def close(self) -> None:
        """Close the file that is being read."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def now() -> str:
    """Return the time as RFC 3339 in UTC, with nanoseconds."""
    seconds, rest = divmod(time.time_ns(), 1_000_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest:09d}Z"


def _parse(line: bytes) -> Entry | None:
    """Return the entry on a line, None where the line was cut off by a power failure."""
    parts = line.split(b" ", 3)
    if len(parts) != 4 or parts[1] not in _NUMBERS:
        return None
    when, stream, kind, text = parts
    ending = b"\n" if kind == b"F" else b""
    return Entry(when.decode("ascii", "replace"), _NUMBERS[stream], text + ending)
