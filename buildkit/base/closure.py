"""Programs of this machine with everything they need to start, as a tree to be laid down.

In: names or paths of programs. Out: their files, the libraries and interpreters behind them, and
the symbolic links on the way, each at the path it has here: a program compiled for `/usr/lib/x`
finds it. Owner, set-id bits and file capabilities are not taken over.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from buildkit.base import loader
from buildkit.base.elf import Elf, ElfError
from buildkit.base.tree import Directory, Entry, File, Link
from buildkit.errors import ImageError
from runtime.values import NamedTuple

DIRECTORIES = (
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
)
"""Where programs are looked for before PATH is, and the PATH of the image."""

_LINK_LIMIT = 40
"""As the kernel's MAXSYMLINKS."""


class Notice(NamedTuple):
    """What the user should know of a program that was taken."""

    program: str
    message: str


class Closure:
    """Collects the entries; `add_program` may be called again and again, in any order.

    `entries` maps paths without the leading slash to what shall lie there, `programs` the names
    asked for to where they were found, `notices` what may be missing all the same.
    """

    def __init__(self, search: loader.SearchPath, path: str = "") -> None:
        self.entries: dict[str, Entry] = {}
        self.programs: dict[str, str] = {}
        self.notices: list[Notice] = []
        self._search = search
        self._path = tuple(
            dict.fromkeys([*DIRECTORIES, *(d for d in path.split(":") if d.startswith("/"))])
        )
        self._loaded: set[tuple[str, tuple[str, ...]]] = set()
        self._taken: set[str] = set()

    def add_program(self, name: str) -> str:
        """Take program `name` (looked up if it has no slash); return its path on this machine.

        Raises ImageError when there is none.
        """
        path = self._found(name)
        self.programs[name] = path
        self._take(path, by=name)
        if os.path.dirname(path) not in DIRECTORIES:
            self._link_into_path(path)
        return path

    def lookup(self, name: str) -> str | None:
        """Return where this machine has program `name`, None when it has none."""
        if "/" in name:
            path = os.path.abspath(name)
            return path if _is_program(path) else None
        candidates = (os.path.join(directory, name) for directory in self._path)
        return next((path for path in candidates if _is_program(path)), None)

    def add_path(self, path: str) -> str:
        """Take whatever lies at `path`, links on the way included; return where it really lies."""
        rest = _parts(path)
        place = ""
        for _ in range(_LINK_LIMIT * 64):
            if not rest:
                return f"/{place}"
            part = rest.pop(0)
            if part in (".", ".."):  # `place` holds no link, so its name's parent is the parent
                place = os.path.dirname(place) if part == ".." else place
                continue
            place = os.path.join(place, part)
            here = f"/{place}"
            if os.path.islink(here):
                target = os.readlink(here)
                self.entries[place] = Link(target)
                rest = [*_parts(target), *rest]
                place = "" if target.startswith("/") else os.path.dirname(place)
            elif os.path.isdir(here):
                self.entries.setdefault(place, Directory(0o700 if place == "root" else 0o755))
            else:
                executable = os.stat(here).st_mode & 0o111
                self.entries[place] = File(here, 0o755 if executable else 0o644)
        raise ImageError(f"too many symbolic links on the way to {path}")

    def _found(self, name: str) -> str:
        path = self.lookup(name)
        if path is not None:
            return path
        if "/" in name:
            raise ImageError(
                f"no program {name} on this machine", hint="name an executable file, or a command"
            )
        close = get_close_matches(name, self._known(), n=1, cutoff=0.75)
        hint = f"did you mean {close[0]}?" if close else "install it here first, or give a path"
        raise ImageError(f"no program called {name!r} on this machine", hint=hint)

    def _known(self) -> Iterable[str]:
        for directory in self._path:
            try:
                yield from os.listdir(directory)
            except OSError:
                continue

    def _take(self, path: str, *, by: str) -> None:
        """Take a program and what it needs, be it ELF or a script."""
        real = self.add_path(path)
        if real in self._taken:
            return
        self._taken.add(real)
        with open(real, "rb") as file:
            head = file.read(256)
        if head.startswith(b"#!"):
            for word in script_interpreters(head):
                self.add_program(word)
            return
        elf = self._read(real, by)
        if elf is None:
            self._note(by, f"{path} is neither a program nor a script with an interpreter")
            return
        if elf.interpreter:
            self.add_path(elf.interpreter)
        self._take_libraries(real, elf, (), by)
        self._mention_library_trees(by, real)

    def _take_libraries(self, path: str, elf: Elf, inherited: tuple[str, ...], by: str) -> None:
        if (path, inherited) in self._loaded:
            return
        self._loaded.add((path, inherited))
        below = loader.handed_down(path, elf, inherited)
        for library in loader.libraries(path, elf, inherited, self._search):
            if isinstance(library, loader.Missing):
                self._note(by, f"its library {library.name} is not on this machine")
                continue
            real = self.add_path(library.path)
            own = self._read(real, by)
            if own is not None:
                self._make_findable(library, elf, inherited, path)
                self._take_libraries(real, own, below, by)

    def _make_findable(
        self, library: loader.Library, elf: Elf, inherited: tuple[str, ...], path: str
    ) -> None:
        """Link a library that only this machine's ld.so.cache knows into a standard directory."""
        directory = os.path.dirname(library.path)
        named = {*loader.handed_down(path, elf, inherited), *loader.own_directories(path, elf)}
        if directory in named or loader.is_standard(directory):
            return
        link = os.path.join("usr/lib", library.name)
        self.add_path("/usr/lib")
        self.entries.setdefault(link, Link(library.path))

    def _link_into_path(self, path: str) -> None:
        for part in ("usr", "usr/local", "usr/local/bin"):
            self.entries.setdefault(part, Directory())
        link = os.path.join("usr/local/bin", os.path.basename(path))
        if f"/{link}" != path:
            self.entries.setdefault(link, Link(path))

    def _read(self, path: str, by: str) -> Elf | None:
        try:
            return loader.read(path)
        except ElfError as error:
            raise ImageError(f"{path}, which {by} needs, is damaged: {error}") from error

    def _mention_library_trees(self, name: str, path: str) -> None:
        """Warn of languages whose programs are useless without their library directories."""
        base = os.path.basename(path)
        language = next((word for word in ("python", "perl", "ruby") if base.startswith(word)), "")
        if language:
            self._note(
                name, f"the modules of {language} are not taken along; 'pybuild base debian' can"
            )

    def _note(self, program: str, message: str) -> None:
        notice = Notice(program, message)
        if notice not in self.notices:
            self.notices.append(notice)


def script_interpreters(head: bytes) -> tuple[str, ...]:
    """Return the programs that a script starting with `head` needs to start.

    With `#!/usr/bin/env NAME` those are env and NAME.
    """
    line = head[2:].split(b"\n", 1)[0].decode("utf-8", "surrogateescape")
    words = line.split()
    if not words:
        return ("/bin/sh",)
    if os.path.basename(words[0]) != "env":
        return (words[0],)
    operands = (w for w in words[1:] if not w.startswith("-") and "=" not in w)
    return (words[0], *list(operands)[:1])


def with_parents(entries: Mapping[str, Entry]) -> dict[str, Entry]:
    """Return `entries` with the directories that lie above them and are not named."""
    whole = dict(entries)
    for path in entries:
        while path := os.path.dirname(path):
            whole.setdefault(path, Directory())
    return whole


def _is_program(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part]
