"""Finding libraries as the dynamic loader does."""

import struct
from pathlib import Path

from buildkit.base import loader
from buildkit.base.elf import parse
from buildkit.base.loader import Library, Missing, SearchPath, libraries, read_cache
from tests.buildkit.base.test_elf import make_elf


def make_cache(entries: dict[str, str], hwcap: int = 0) -> bytes:
    """Return an ld.so.cache in glibc's new form."""
    strings = b""
    table = b""
    start = 48 + 24 * len(entries)
    for key, value in entries.items():
        where = start + len(strings)
        strings += key.encode() + b"\0" + value.encode() + b"\0"
        table += struct.pack("=iIIIQ", 0x303, where, where + len(key) + 1, 0, hwcap)
    head = b"glibc-ld.so.cache1.1" + struct.pack("=II", len(entries), len(strings)) + bytes(20)
    return head + table + strings


def _library(path: Path, **kinds: object) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(make_elf(**kinds))  # type: ignore[arg-type]
    return str(path)


def test_the_cache_names_paths() -> None:
    assert read_cache(make_cache({"liba.so": "/x/liba.so"})) == {"liba.so": ("/x/liba.so",)}


def test_the_cache_of_an_old_table_followed_by_a_new_one_is_read() -> None:
    data = b"ld.so-1.7.0\0" + struct.pack("=I", 0) + make_cache({"liba.so": "/x/liba.so"})

    assert read_cache(data)["liba.so"] == ("/x/liba.so",)


def test_libraries_for_some_processors_only_are_left_out() -> None:
    assert read_cache(make_cache({"liba.so": "/x/liba.so"}, hwcap=1 << 62)) == {}


def test_a_garbled_cache_is_an_empty_one() -> None:
    whole = make_cache({"liba.so": "/x/liba.so"})
    assert read_cache(b"") == {}
    assert read_cache(whole[:-5]) == {}


def test_what_the_program_names_comes_before_the_cache_and_the_defaults(tmp_path: Path) -> None:
    own = _library(tmp_path / "own/liba.so")
    cached = _library(tmp_path / "cached/libb.so")
    default = _library(tmp_path / "default/libc.so")
    _library(tmp_path / "default/liba.so")
    search = SearchPath(
        cache={"liba.so": (cached,), "libb.so": (cached,)}, directories=(str(tmp_path / "default"),)
    )
    program = _library(
        tmp_path / "bin/program",
        dynamic=(
            (1, "liba.so"),
            (1, "libb.so"),
            (1, "libc.so"),
            (1, "libd.so"),
            (29, "$ORIGIN/../own"),
        ),
    )

    found = list(libraries(program, parse(Path(program).read_bytes()), (), search))

    assert found == [
        Library("liba.so", own),
        Library("libb.so", cached),
        Library("libc.so", default),
        Missing("libd.so"),
    ]


def test_a_library_for_another_machine_is_passed_over(tmp_path: Path) -> None:
    _library(tmp_path / "one/liba.so", bits=32)
    fitting = _library(tmp_path / "two/liba.so")
    search = SearchPath(cache={}, directories=(str(tmp_path / "one"), str(tmp_path / "two")))
    program = _library(tmp_path / "program", dynamic=((1, "liba.so"),))

    found = list(libraries(program, parse(Path(program).read_bytes()), (), search))

    assert found == [Library("liba.so", fitting)]


def test_an_rpath_is_handed_down_and_a_runpath_is_not(tmp_path: Path) -> None:
    rpath = parse(make_elf(dynamic=((15, "/a"),)))
    runpath = parse(make_elf(dynamic=((29, "/b"),)))

    assert loader.handed_down("/bin/x", rpath, ("/z",)) == ("/a", "/z")
    assert loader.handed_down("/bin/x", runpath, ("/z",)) == ("/z",)


def test_ld_so_conf_is_read_with_its_includes(tmp_path: Path) -> None:
    (tmp_path / "etc/ld.so.conf.d").mkdir(parents=True)
    (tmp_path / "etc/ld.so.conf").write_text("/first # here\ninclude ld.so.conf.d/*.conf\n")
    (tmp_path / "etc/ld.so.conf.d/x.conf").write_text("/second/\n")
    (tmp_path / "etc/ld-musl-x86_64.path").write_text("/third:/fourth\n")

    found = loader.machine_search_path(str(tmp_path)).directories

    assert found[:4] == ("/first", "/second", "/third", "/fourth")
