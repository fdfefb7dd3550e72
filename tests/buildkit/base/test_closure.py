"""Programs with what they need."""

import os
from pathlib import Path

import pytest

from buildkit.base.closure import Closure, script_interpreters, with_parents
from buildkit.base.loader import SearchPath, machine_search_path
from buildkit.base.tree import Directory, File, Link
from buildkit.errors import ImageError
from tests.buildkit.base.test_elf import make_elf

NOTHING = SearchPath(cache={}, directories=())


def _program(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(0o755)
    return path


def _inside(path: Path) -> str:
    return str(path).lstrip("/")


def test_links_on_the_way_to_a_program_are_kept(tmp_path: Path) -> None:
    real = _program(tmp_path / "opt/tool-2.0/tool", make_elf())
    (tmp_path / "opt/tool").symlink_to("tool-2.0")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/tool").symlink_to(f"{tmp_path}/opt/tool/../tool/tool")
    closure = Closure(NOTHING)

    assert closure.add_path(str(tmp_path / "bin/tool")) == str(real)

    entries = closure.entries
    assert entries[_inside(tmp_path / "bin/tool")] == Link(f"{tmp_path}/opt/tool/../tool/tool")
    assert entries[_inside(tmp_path / "opt/tool")] == Link("tool-2.0")
    assert entries[_inside(real)] == File(str(real), 0o755)
    assert entries[_inside(tmp_path / "opt")] == Directory()


def test_a_ring_of_links_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(ImageError, match="too many symbolic links"):
        Closure(NOTHING).add_path(str(tmp_path / "a"))


def test_a_program_outside_of_the_usual_directories_gets_a_link_in_path(tmp_path: Path) -> None:
    program = _program(tmp_path / "tool", make_elf())
    closure = Closure(NOTHING)

    closure.add_program(str(program))

    assert closure.entries["usr/local/bin/tool"] == Link(str(program))


def test_libraries_are_taken_with_their_own_libraries(tmp_path: Path) -> None:
    _program(tmp_path / "lib/liba.so", make_elf(dynamic=((1, "libb.so"),)))
    _program(tmp_path / "lib/libb.so", make_elf(dynamic=((1, "liba.so"),)))
    program = _program(tmp_path / "tool", make_elf(dynamic=((1, "liba.so"), (15, "$ORIGIN/lib"))))
    closure = Closure(NOTHING)

    closure.add_program(str(program))

    assert _inside(tmp_path / "lib/liba.so") in closure.entries
    assert _inside(tmp_path / "lib/libb.so") in closure.entries
    assert closure.notices == []


def test_a_library_that_only_the_cache_knows_gets_a_link_where_any_loader_looks(
    tmp_path: Path,
) -> None:
    library = _program(tmp_path / "odd/liba.so", make_elf())
    program = _program(tmp_path / "tool", make_elf(dynamic=((1, "liba.so"),)))
    closure = Closure(SearchPath(cache={"liba.so": (str(library),)}, directories=()))

    closure.add_program(str(program))

    assert Link(str(library)) in closure.entries.values()


def test_a_missing_library_is_mentioned(tmp_path: Path) -> None:
    program = _program(tmp_path / "tool", make_elf(dynamic=((1, "liba.so"),)))
    closure = Closure(NOTHING)

    closure.add_program(str(program))

    assert "liba.so" in closure.notices[0].message


def test_an_unknown_program_is_an_error_with_a_near_miss() -> None:
    with pytest.raises(ImageError, match="no program called 'mkdirr'") as caught:
        Closure(NOTHING).add_program("mkdirr")
    assert caught.value.hint == "did you mean mkdir?"


def test_a_damaged_program_is_an_error(tmp_path: Path) -> None:
    program = _program(tmp_path / "tool", make_elf(dynamic=((1, "liba.so"),))[:100])
    with pytest.raises(ImageError, match="damaged"):
        Closure(NOTHING).add_program(str(program))


def test_a_script_brings_its_interpreter(tmp_path: Path) -> None:
    interpreter = _program(tmp_path / "interpreter", make_elf())
    script = _program(tmp_path / "script", f"#!{interpreter} -x\n".encode())
    closure = Closure(NOTHING)

    closure.add_program(str(script))

    assert _inside(interpreter) in closure.entries


@pytest.mark.parametrize(
    ("line", "programs"),
    [
        (b"#!/bin/sh\n", ("/bin/sh",)),
        (b"#! /bin/sh -e\nls", ("/bin/sh",)),
        (b"#!/usr/bin/env python3\n", ("/usr/bin/env", "python3")),
        (b"#!/usr/bin/env -S A=1 perl -w\n", ("/usr/bin/env", "perl")),
        (b"#!\n", ("/bin/sh",)),
    ],
)
def test_interpreters_of_scripts(line: bytes, programs: tuple[str, ...]) -> None:
    assert script_interpreters(line) == programs


def test_parents_are_filled_in() -> None:
    assert with_parents({"a/b/c": Link("x")})["a/b"] == Directory()


def test_a_program_of_this_machine_comes_with_its_loader() -> None:
    closure = Closure(machine_search_path())
    path = closure.add_program("ls")
    assert os.path.realpath(path).lstrip("/") in closure.entries
    assert not closure.notices
