"""The code of all modules that a command imports, in one file: a sixth of its start-up time.

In: the compiled modules as Python keeps them, in `__pycache__`. Out: beside them one file for each
command, `build.bundle.cpython-311.pyc` and the like, and an importer that takes modules from it.
Python looks for each of 140 to 230 modules on its own, which costs more than to run them.

A module is taken from the bundle if its source has the modification time (ns) and the size that it
had; otherwise Python imports it as ever, and the bundle is written anew at the end of the command.
So an edit is never missed, and where no bundle can be read or written nothing is lost but time.
This module is imported before anything else: it needs nothing that Python has not loaded already.

The file: an index of fixed place (its size in 8 bytes, then itself, marshalled), and the code of
one module after the other, of which is read what is asked for.
Source: importlib.machinery.SourceFileLoader; PEP 451.
"""

from __future__ import annotations

import marshal
import mmap
import os
import sys
from _frozen_importlib import ModuleSpec
from _frozen_importlib_external import (
    PathFinder,
    SourceFileLoader,
    cache_from_source,
)

TYPE_CHECKING = False  # `typing` is one of the modules that come from the bundle
if TYPE_CHECKING:
    from types import CodeType

_HERE = os.path.dirname(os.path.abspath(__file__))
_WORD = 8
_STREAMS = 3

_Row = tuple[str, int, int, bool, "str | None", int, int]
"""A module in the index: path of its source, modification time (ns) and size of that; whether it is
a package; where Python caches it; offset and length of its code behind the index."""


class Bundle:
    """What one command imports. `missed` are the names that were not in it, or not as they are.

    It counts for this Python, this very package and this search path only.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.missed: set[str] = set()
        self._data: bytes | mmap.mmap = b""
        self._start = 0
        # As it is at the start: what a command does to its search path is its own affair.
        self._origin = (sys.hexversion, _HERE, list(sys.path))
        self._rows: dict[str, _Row] = {}

    def open(self) -> None:
        """Take in what is there, if it is a bundle of this Python and this very package."""
        fds: list[int] = []
        try:
            # The mapping keeps one, which must not be that of a standard stream that is closed.
            while not fds or fds[-1] < _STREAMS:
                fds.append(os.open(self.path, os.O_RDONLY | os.O_CLOEXEC))
            # A mapping, for forked processes close all descriptors and use their numbers.
            data = mmap.mmap(fds[-1], 0, prot=mmap.PROT_READ)
            start = _WORD + int.from_bytes(data[:_WORD], "little")
            origin, rows, size = marshal.loads(data[_WORD:start])  # noqa: S302 - as Python's caches
            if origin == self._origin and len(data) == start + size:
                self._data, self._start, self._rows = data, start, rows
        except (OSError, EOFError, ValueError, TypeError, OverflowError):
            pass  # something else is there
        finally:
            for fd in fds:
                os.close(fd)

    def find_spec(
        self,
        name: str,
        path: object = None,  # noqa: ARG002 - the protocol of finders
        target: object = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        """Return how a module is loaded from here, or None: let another finder look for it."""
        row = self._rows.get(name)
        if row is None or not _is_as_it_was(row):
            self.missed.add(name)
            return None
        source, _, _, is_package, cached, _, _ = row
        spec = ModuleSpec(name, _Loader(self, name, source), origin=source, is_package=is_package)
        spec.has_location = True
        spec.cached = cached
        if is_package:
            spec.submodule_search_locations = [os.path.dirname(source)]
        return spec

    def code(self, name: str) -> bytes:
        """Return the marshalled code of a module that is in it."""
        *_, offset, length = self._rows[name]
        return self._data[self._start + offset : self._start + offset + length]

    def keep(self) -> None:
        """Write the bundle anew if something was missing from it. Raises OSError."""
        if sys.dont_write_bytecode:
            return
        found = {name: entry for name in self.missed if (entry := _compiled(name)) is not None}
        if not found:
            return
        rows: dict[str, _Row] = {}
        codes: list[bytes] = []
        offset = 0
        for name in self._rows.keys() | found:
            row, code = found.get(name) or (self._rows[name], self.code(name))
            rows[name] = (*row[:5], offset, len(code))
            codes.append(code)
            offset += len(code)
        index = marshal.dumps((self._origin, rows, offset))
        _write(self.path, b"".join((len(index).to_bytes(_WORD, "little"), index, *codes)))


class _Loader(SourceFileLoader):
    """Loads one module of a bundle; in all but its code it is Python's own."""

    def __init__(self, bundle: Bundle, name: str, path: str) -> None:
        super().__init__(name, path)
        self._bundle = bundle

    def get_code(self, fullname: str) -> CodeType | None:
        """Return the module's code."""
        try:
            code: CodeType = marshal.loads(self._bundle.code(fullname))  # noqa: S302
            return code
        except (EOFError, ValueError, TypeError):
            return super().get_code(fullname)


def installed(arguments: list[str]) -> Bundle:
    """Return the bundle for a call with `arguments`, which imports ask first from now on."""
    bundle = Bundle(cache_from_source(f"{_HERE}/{_command(arguments)}.bundle.py"))
    bundle.open()
    finders = sys.meta_path
    at = finders.index(PathFinder) if PathFinder in finders else len(finders)
    finders.insert(at, bundle)
    return bundle


def _command(arguments: list[str]) -> str:
    """Return the word by which the bundle of a call is known, mostly the command's name."""
    if arguments[:1] == ["--root"]:
        arguments = arguments[2:]
    elif arguments and arguments[0].startswith("--root="):
        arguments = arguments[1:]
    word = arguments[0] if arguments else ""
    return word if word.isidentifier() and os.path.exists(f"{_HERE}/{word}.py") else "build"


def _is_as_it_was(row: _Row) -> bool:
    try:
        status = os.stat(row[0])
    except OSError:
        return False
    return status.st_mtime_ns == row[1] and status.st_size == row[2]


def _compiled(name: str) -> tuple[_Row, bytes] | None:
    """Return what a bundle keeps of a module, or None: it is none that has a source."""
    spec = getattr(sys.modules.get(name), "__spec__", None)
    if spec is None or type(spec.loader) is not SourceFileLoader or spec.name != name:
        return None
    try:
        status = os.stat(spec.origin)
        code = spec.loader.get_code(name)
    except (OSError, ImportError, SyntaxError):
        return None
    is_package = spec.submodule_search_locations is not None
    row = (spec.origin, status.st_mtime_ns, status.st_size, is_package, spec.cached, 0, 0)
    return (row, marshal.dumps(code)) if _is_as_it_was(row) else None


def _write(path: str, data: bytes) -> None:
    """Put `data` in place whole, and on the disk: what is executed must not be half of it."""
    aside = f"{path}.{os.getpid()}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    fd = os.open(aside, flags, 0o666)
    try:
        with open(fd, "wb", buffering=0) as file:
            view = memoryview(data)
            while view:
                view = view[file.write(view) :]
            os.fsync(fd)
        os.rename(aside, path)
    except BaseException:
        os.unlink(aside)
        raise
