"""Finding the libraries of a program as the dynamic loader would, without running anything.

In: an ELF file and where it lies. Out: the path of each library it needs.
Source: ld.so(8) of glibc (order of the search, `$ORIGIN`), dl-cache.h (form of the cache), and
musl's dynlink.c, which reads its directories from `/etc/ld-musl-ARCH.path`.
"""

from __future__ import annotations

import glob
import os
import struct
from collections.abc import Iterator, Mapping, Sequence

from buildkit.base.elf import Elf, ElfError, Machine, is_elf, parse
from runtime.values import NamedTuple

_NEW_CACHE = b"glibc-ld.so.cache1.1"
_OLD_CACHE = b"ld.so-1.7.0"


class Library(NamedTuple):
    """`name` as the program asks for it, `path` where the loader would take it from."""

    name: str
    path: str


class Missing(NamedTuple):
    """A library that is nowhere to be found."""

    name: str


class SearchPath(NamedTuple):
    """Where this machine keeps its libraries: the cache by name, then directories in order."""

    cache: Mapping[str, tuple[str, ...]]
    directories: tuple[str, ...]


def machine_search_path(root: str = "/") -> SearchPath:
    """Return where the loader of the machine below `root` looks when a program says nothing."""
    try:
        with open(os.path.join(root, "etc/ld.so.cache"), "rb") as file:
            cache = read_cache(file.read())
    except OSError:
        cache = {}
    listed = [*_configured(os.path.join(root, "etc/ld.so.conf"), root), *_musl_directories(root)]
    triplets = sorted(glob.glob("usr/lib/*-linux-*/", root_dir=root))
    defaults = ["/lib64", "/usr/lib64", "/lib", "/usr/lib", "/usr/local/lib"]
    return SearchPath(
        cache=cache,
        directories=tuple(
            dict.fromkeys([*listed, *defaults, *(f"/{name.rstrip('/')}" for name in triplets)])
        ),
    )


def read_cache(data: bytes) -> dict[str, tuple[str, ...]]:
    """Return the paths that a glibc cache file names for each library; empty when garbled.

    The file holds, from its start or behind an old table, a header, entries of 24 bytes (flags,
    offsets of key and value, OS version, hwcap) and the strings; offsets count from the header.
    """
    start = data.find(_NEW_CACHE) if data.startswith((_NEW_CACHE, _OLD_CACHE)) else -1
    if start < 0:
        return {}
    found: dict[str, list[str]] = {}
    try:
        (entries,) = struct.unpack_from("=I", data, start + 20)
        for number in range(min(entries, len(data) // 24)):
            key, value = struct.unpack_from("=II", data, start + 48 + 24 * number + 4)
            (hwcap,) = struct.unpack_from("=Q", data, start + 48 + 24 * number + 16)
            if hwcap == 0:  # a variant for some processors only would not run everywhere
                found.setdefault(_string(data, start + key), []).append(
                    _string(data, start + value)
                )
    except (struct.error, ValueError):
        return {}
    return {name: tuple(paths) for name, paths in found.items()}


def libraries(
    path: str, elf: Elf, inherited: Sequence[str], search: SearchPath
) -> Iterator[Library | Missing]:
    """Yield what `elf`, which lies at `path`, needs.

    `inherited` are the directories that the programs above it hand down (DT_RPATH is searched for
    the libraries of libraries too, DT_RUNPATH is not).
    """
    own = own_directories(path, elf)
    wanted_first = own if elf.runpath else (*own, *inherited)
    for name in elf.needed:
        if "/" in name:
            yield Library(name, name) if os.path.exists(name) else Missing(name)
            continue
        candidates = [os.path.join(directory, name) for directory in wanted_first]
        if elf.default_directories:
            candidates += search.cache.get(name, ())
            candidates += [os.path.join(directory, name) for directory in search.directories]
        fitting = next((c for c in candidates if fits(c, elf.machine)), None)
        yield Library(name, fitting) if fitting else Missing(name)


def handed_down(path: str, elf: Elf, inherited: Sequence[str]) -> tuple[str, ...]:
    """Return the directories in which the libraries of `elf`'s libraries are looked for too."""
    own = own_directories(path, elf) if elf.rpath else ()
    return tuple(dict.fromkeys([*own, *inherited]))


def own_directories(path: str, elf: Elf) -> tuple[str, ...]:
    """Return the directories that `elf` itself names for what it needs."""
    origin = os.path.dirname(os.path.realpath(path))
    return tuple(_expanded(name, origin, elf.machine) for name in (*elf.rpath, *elf.runpath))


def is_standard(directory: str) -> bool:
    """Whether the loader looks into `directory` even where there is no cache and no list.

    Debian's loader has its multiarch directory built in; `lib64` may be a link to it or not.
    """
    parent, name = os.path.split(directory)
    if parent in ("/lib", "/usr/lib"):
        return name.endswith(("-linux-gnu", "-linux-gnueabihf", "-linux-gnueabi"))
    return directory in ("/lib", "/usr/lib", "/lib64", "/usr/lib64")


def fits(path: str, machine: Machine) -> bool:
    """Whether `path` is a library for `machine`."""
    try:
        with open(path, "rb") as file:
            head = file.read(64)
            return is_elf(head) and parse_machine(head) == machine
    except (OSError, ElfError):
        return False


def parse_machine(head: bytes) -> Machine:
    """Return the machine of a file from its first 64 bytes."""
    order = ">" if head[5:6] == b"\2" else "<"
    if len(head) < 20:
        raise ElfError("cut short or garbled")
    return Machine(64 if head[4] == 2 else 32, order, struct.unpack_from(f"{order}H", head, 18)[0])


def read(path: str) -> Elf | None:
    """Return what the file at `path` asks of the loader, None when it is no ELF file."""
    with open(path, "rb") as file:
        head = file.read(4)
        return parse(head + file.read()) if is_elf(head) else None


def _expanded(directory: str, origin: str, machine: Machine) -> str:
    """Return `directory` with `$ORIGIN`, `$LIB` and `${...}` forms replaced."""
    lib = "lib64" if machine.bits == 64 else "lib"
    for name, value in (("ORIGIN", origin), ("LIB", lib), ("PLATFORM", "x86_64")):
        directory = directory.replace(f"${{{name}}}", value).replace(f"${name}", value)
    return os.path.normpath(directory)


def _configured(path: str, root: str, depth: int = 0) -> Iterator[str]:
    """Yield the directories of an ld.so.conf, following `include`."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read(1 << 20).splitlines()
    except OSError:
        return
    for line in lines:
        words = line.partition("#")[0].split()
        if words[:1] == ["include"] and depth < 8:
            for pattern in words[1:]:
                inside = os.path.join(root, pattern.lstrip("/")) if pattern[0] == "/" else pattern
                whole = os.path.join(os.path.dirname(path), inside)
                for name in sorted(glob.glob(whole)):
                    yield from _configured(name, root, depth + 1)
        elif words and words[0].startswith("/"):
            yield words[0].rstrip("/")


def _musl_directories(root: str) -> Iterator[str]:
    for path in sorted(glob.glob(os.path.join(root, "etc/ld-musl-*.path"))):
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            yield from (word for word in file.read(1 << 16).replace(":", "\n").split() if word)


def _string(data: bytes, offset: int) -> str:
    end = data.find(0, offset, offset + 4096)
    if end < 0:
        raise ValueError(offset)
    return data[offset:end].decode("utf-8", "surrogateescape")
