"""Where an output goes: a file that appears when it is whole, or standard output.

In: a path, or `-`. Out: a sink. Guarantee R6: written beside its place under another
name, synced, renamed; what is cut short never gets the name. Pipes and devices are written to, and
a wish to stop ends the wait for whoever reads a pipe.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import Callable, Iterator

from buildkit.content.streams import Sink
from buildkit.content.writeback import SyncedFile
from buildkit.errors import BuildError, UsageError
from buildkit.exporter.fifo import open_fifo, patient, reopened
from buildkit.state.removal import remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    from buildkit.progress.cancel import Cancel

STDOUT = "-"

Rewrite: TypeAlias = Callable[[int, bytes], object]
"""Puts bytes in place of those at an offset, which were written before."""


class OutputError(BuildError):
    """An output could not be written; the image itself is fine."""

    exit_code = 4


class Target:
    """A sink (call it with bytes). `rewrite` is None where what was written is gone."""

    def __init__(self, write: Sink, rewrite: Rewrite | None = None) -> None:
        self._write = write
        self.rewrite = rewrite

    def __call__(self, block: bytes) -> None:
        """Write `block`."""
        self._write(block)


@contextlib.contextmanager
def output_file(dest: str, cancel: Cancel | None = None) -> Iterator[Target]:
    """Give a sink for the file `dest`, which has its name once the block ends well.

    `cancel`: ends the wait for the reader of a pipe; None where signals raise exceptions.
    """
    if dest == STDOUT:
        if os.isatty(1):
            raise UsageError(
                "an archive does not go to a terminal", hint="name a file, or redirect to one"
            )
        check_open()
        with failing("standard output"):
            sys.stdout.flush()
            with _stdout(cancel) as sink:
                yield Target(sink)
        return
    with failing(dest):
        opened = _special(dest, cancel)
        if opened is not None:
            with open(opened, "wb", buffering=0) as file:
                yield Target(_writer(file.fileno(), cancel))
            return
        with _beside(dest) as temporary, open(temporary, "xb", buffering=0) as file:
            synced = SyncedFile(file.fileno())
            try:
                yield Target(synced.write, synced.rewrite)
                synced.finish()
            finally:
                synced.stop()


@contextlib.contextmanager
def _stdout(cancel: Cancel | None) -> Iterator[Sink]:
    own = None if cancel is None else reopened(1)
    if own is None:
        yield _writer(1, None)
        return
    with open(own, "wb", buffering=0):
        yield _writer(own, cancel)


def write_result(dest: str, text: str) -> None:
    """Write what a command has to tell to the file `dest`. Raises OutputError."""
    try:
        # Not as it is, for it may be called `-`.
        with output_file(os.path.abspath(dest)) as sink:
            sink(text.encode())
    except UsageError as error:
        # The work is done, so this is no fault of the command line any more.
        raise OutputError(error.message, hint=error.hint) from error


def check_open() -> None:
    """Raise OutputError if standard output was closed when the program began.

    /dev/null is there by now, so that no file of ours is; an archive would be lost in it.
    """
    if sys.__stdout__ is None:
        raise OutputError("standard output is closed", hint="name a file, or redirect to one")


@contextlib.contextmanager
def output_directory(dest: str) -> Iterator[str]:
    """Give a new directory that becomes `dest` once the block ends well.

    Raises OutputError when something is at `dest` already, but for an empty directory.
    """
    place = os.path.abspath(dest)
    with failing(dest):
        if os.path.lexists(place) and not (os.path.isdir(place) and not os.listdir(place)):
            raise OutputError(f"{dest} exists already", hint="name a directory that does not")
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with _beside(place) as temporary:
            os.mkdir(temporary)
            yield temporary


@contextlib.contextmanager
def _beside(dest: str) -> Iterator[str]:
    """Give a free name beside `dest`; rename what is there then, or remove it on failure."""
    place = os.path.abspath(dest)
    directory, name = os.path.split(place)
    temporary = os.path.join(directory, f".{name[:200]}.{os.urandom(6).hex()}")
    try:
        yield temporary
        os.rename(temporary, place)
    except BaseException:
        with contextlib.suppress(OSError):
            remove_tree(temporary)
        raise


def _special(dest: str, cancel: Cancel | None) -> int | None:
    """Open `dest` if it is something that is written in place: a device, a pipe.

    So is a file that is called by a descriptor (/dev/stdout): its name is nobody's to replace.
    """
    try:
        found = os.stat(dest).st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(found):
        raise UsageError(f"{dest} is a directory", hint="name a file")
    if stat.S_ISREG(found) and not (os.path.islink(dest) and _is_of_kernel(dest)):
        return None
    if cancel is not None and stat.S_ISFIFO(found):
        return open_fifo(dest, cancel)
    return os.open(dest, os.O_WRONLY | os.O_CLOEXEC)


def _is_of_kernel(path: str) -> bool:
    """Say whether the directory of `path` lies in /dev or /proc."""
    directory = os.path.realpath(os.path.dirname(os.path.abspath(path)))
    return f"{directory}/".startswith(("/dev/", "/proc/"))


def _writer(fd: int, cancel: Cancel | None) -> Sink:
    if cancel is not None:
        return patient(fd, cancel)

    def write(block: bytes) -> None:
        view = memoryview(block)
        while view:
            view = view[os.write(fd, view) :]

    return write


@contextlib.contextmanager
def failing(what: str) -> Iterator[None]:
    """Turn what the kernel says of the output into OutputError; a closed pipe stays one."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        hint = "free some space, or name a place elsewhere" if error.errno == 28 else ""
        reason = (error.strerror or str(error)).lower()
        raise OutputError(f"{what} cannot be written: {reason}", hint=hint) from error
