"""What ELF files say of how they want to be loaded."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildkit.base.elf import ElfError, Machine, is_elf, parse


def make_elf(
    *, interpreter: str = "", dynamic: tuple[tuple[int, str | int], ...] = (), bits: int = 64
) -> bytes:
    """Return a small ELF file; `dynamic` are tags with a string or a number."""
    wide = bits == 64
    header, entry = (64, 56) if wide else (52, 32)
    strings = b"\0"
    pairs = []
    for tag, value in dynamic:
        if isinstance(value, str):
            pairs.append((tag, len(strings)))
            strings += value.encode() + b"\0"
        else:
            pairs.append((tag, value))
    body = header + 3 * entry
    inside = interpreter.encode() + b"\0"
    base = 0x400000
    strings_at = body + len(inside)
    pairs = [(5, base + strings_at), *pairs, (0, 0)] if dynamic else []
    dynamic_at = strings_at + len(strings)
    section = b"".join(struct.pack("<qQ" if wide else "<iI", *pair) for pair in pairs)
    total = dynamic_at + len(section)
    segments = [
        (1, 0, base, total),
        (3 if interpreter else 0, body, base + body, len(inside)),
        (2 if dynamic else 0, dynamic_at, base + dynamic_at, len(section)),
    ]
    head = b"\x7fELF" + bytes([2 if wide else 1, 1, 1]) + bytes(9)
    if wide:
        head += struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, 64, 0, 0, 64, 56, 3, 0, 0, 0)
        table = b"".join(
            struct.pack("<IIQQQQQQ", kind, 0, at, address, address, size, size, 0)
            for kind, at, address, size in segments
        )
    else:
        head += struct.pack("<HHIIIIIHHHHHH", 3, 3, 1, 0, 52, 0, 0, 52, 32, 3, 0, 0, 0)
        table = b"".join(
            struct.pack("<IIIIIIII", kind, at, address, address, size, size, 0, 0)
            for kind, at, address, size in segments
        )
    return head + table + inside + strings + section


@pytest.mark.parametrize("bits", [32, 64])
def test_interpreter_libraries_and_directories_are_read(bits: int) -> None:
    data = make_elf(
        bits=bits,
        interpreter="/lib/ld.so",
        dynamic=((1, "liba.so.1"), (1, "libb.so.2"), (29, "$ORIGIN/../lib:/opt/lib"), (14, "self")),
    )

    elf = parse(data)

    assert elf.interpreter == "/lib/ld.so"
    assert elf.needed == ("liba.so.1", "libb.so.2")
    assert elf.runpath == ("$ORIGIN/../lib", "/opt/lib")
    assert elf.soname == "self"
    assert elf.machine == Machine(bits, "<", 62 if bits == 64 else 3)


def test_a_runpath_makes_the_rpath_void() -> None:
    assert parse(make_elf(dynamic=((15, "/a"),))).rpath == ("/a",)
    assert parse(make_elf(dynamic=((15, "/a"), (29, "/b")))).rpath == ()


def test_a_file_without_dynamic_section_needs_nothing() -> None:
    assert not parse(make_elf()).is_dynamic


def test_a_flag_turns_the_default_directories_off() -> None:
    assert not parse(make_elf(dynamic=((0x6FFFFFFB, 0x800),))).default_directories


def test_other_files_are_told_apart() -> None:
    assert not is_elf(b"#!/bin/sh\n")
    with pytest.raises(ElfError, match="not an ELF file"):
        parse(b"#!/bin/sh\n")


_WHOLE = make_elf(interpreter="/lib/ld.so", dynamic=((1, "liba.so.1"), (29, "/opt/lib")))


@given(st.integers(0, len(_WHOLE) - 1), st.binary(min_size=1, max_size=8))
def test_damage_gives_an_elf_error_or_a_value_and_nothing_else(at: int, noise: bytes) -> None:
    for data in (_WHOLE[:at], _WHOLE[:at] + noise + _WHOLE[at + len(noise) :]):
        try:
            parse(data)
        except ElfError:
            continue
