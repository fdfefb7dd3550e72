"""What an ELF file says about how it wants to be loaded.

In: the bytes of an executable or library. Out: its interpreter, the libraries it needs and where
it wants them looked for. Only headers are read, nothing is run: `ldd` would execute the file.
Source: the System V ABI, chapters 4 and 5 (elf(5)).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from runtime.values import NamedTuple

_MAGIC = b"\x7fELF"
_PT_LOAD, _PT_DYNAMIC, _PT_INTERP = 1, 2, 3
_DT_NULL, _DT_NEEDED, _DT_STRTAB, _DT_SONAME, _DT_RPATH, _DT_RUNPATH = 0, 1, 5, 14, 15, 29
_DT_FLAGS_1, _DF_1_NODEFLIB = 0x6FFFFFFB, 0x800

_LIMIT = 4096
"""Longest string read from a file that may be anything (PATH_MAX)."""


class ElfError(ValueError):
    """The file starts like an ELF file and is not one that can be loaded."""


class Machine(NamedTuple):
    """What must be equal for a library to fit a program: bits, byte order, `e_machine`."""

    bits: int
    order: str
    number: int


class Elf(NamedTuple):
    """What one file asks of the loader; search directories as written, `$ORIGIN` and all."""

    machine: Machine
    interpreter: str
    needed: tuple[str, ...]
    soname: str
    rpath: tuple[str, ...]
    runpath: tuple[str, ...]
    default_directories: bool

    @property
    def is_dynamic(self) -> bool:
        """Whether anything beside the file is needed to start it."""
        return bool(self.interpreter or self.needed)


class _Segment(NamedTuple):
    kind: int
    offset: int
    address: int
    size: int


def is_elf(head: bytes) -> bool:
    """Whether a file that starts with `head` says it is ELF."""
    return head.startswith(_MAGIC)


def parse(data: bytes) -> Elf:
    """Return what `data`, a whole file, asks of the loader. Raises ElfError."""
    try:
        return _parse(data)
    except (struct.error, IndexError, OverflowError) as error:
        raise ElfError("cut short or garbled") from error


def _parse(data: bytes) -> Elf:
    machine = _machine(data)
    segments = tuple(_segments(data, machine))
    interpreter = ""
    dynamic: tuple[tuple[int, int], ...] = ()
    for segment in segments:
        if segment.kind == _PT_INTERP:
            interpreter = _text(data, segment.offset)
        elif segment.kind == _PT_DYNAMIC:
            dynamic = tuple(_dynamic(data, machine, segment))
    strings = next((_place(v, segments) for tag, v in dynamic if tag == _DT_STRTAB), None)
    if dynamic and strings is None:
        raise ElfError("a dynamic section without strings")

    def texts(wanted: int) -> tuple[str, ...]:
        return tuple(_text(data, (strings or 0) + v) for tag, v in dynamic if tag == wanted)

    runpath = _directories(texts(_DT_RUNPATH))
    flags = next((v for tag, v in dynamic if tag == _DT_FLAGS_1), 0)
    return Elf(
        machine=machine,
        interpreter=interpreter,
        needed=texts(_DT_NEEDED),
        soname="".join(texts(_DT_SONAME)[:1]),
        # "If both DT_RPATH and DT_RUNPATH are there, DT_RPATH is ignored" (ld.so(8)).
        rpath=() if runpath else _directories(texts(_DT_RPATH)),
        runpath=runpath,
        default_directories=not flags & _DF_1_NODEFLIB,
    )


def _machine(data: bytes) -> Machine:
    if not is_elf(data):
        raise ElfError("not an ELF file")
    bits = {1: 32, 2: 64}.get(data[4], 0)
    order = {1: "<", 2: ">"}.get(data[5], "")
    if not bits or not order:
        raise ElfError("of an unknown class or byte order")
    kind, number = struct.unpack_from(f"{order}HH", data, 16)
    if kind not in (2, 3):  # ET_EXEC, ET_DYN
        raise ElfError("neither a program nor a library")
    return Machine(bits, order, number)


def _segments(data: bytes, machine: Machine) -> Iterator[_Segment]:
    """Yield the program headers; a count of 0xffff and more does not occur in programs."""
    if machine.bits == 64:
        (offset,) = struct.unpack_from(f"{machine.order}Q", data, 32)
        size, entries = struct.unpack_from(f"{machine.order}HH", data, 54)
        form, picked = f"{machine.order}IIQQQQ", (0, 2, 3, 5)
    else:
        (offset,) = struct.unpack_from(f"{machine.order}I", data, 28)
        size, entries = struct.unpack_from(f"{machine.order}HH", data, 42)
        form, picked = f"{machine.order}IIIII", (0, 1, 2, 4)
    for number in range(entries):
        fields = struct.unpack_from(form, data, offset + number * size)
        yield _Segment(*(fields[position] for position in picked))


def _dynamic(data: bytes, machine: Machine, segment: _Segment) -> Iterator[tuple[int, int]]:
    form = f"{machine.order}{'qQ' if machine.bits == 64 else 'iI'}"
    step = struct.calcsize(form)
    for offset in range(segment.offset, segment.offset + segment.size, step):
        tag, value = struct.unpack_from(form, data, offset)
        if tag == _DT_NULL:
            return
        yield tag, value


def _place(address: int, segments: tuple[_Segment, ...]) -> int:
    """Return where in the file the byte that is loaded at `address` lies."""
    for segment in segments:
        if segment.kind == _PT_LOAD and 0 <= address - segment.address < segment.size:
            return segment.offset + address - segment.address
    raise ElfError("strings outside of the file")


def _text(data: bytes, offset: int) -> str:
    end = data.find(0, offset, offset + _LIMIT) if 0 <= offset < len(data) else -1
    if end < 0:
        raise ElfError("a string outside of the file")
    return data[offset:end].decode("utf-8", "surrogateescape")


def _directories(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(part for value in values for part in value.split(":") if part)
