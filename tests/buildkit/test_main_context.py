"""The main context and its Dockerfile, from wherever they come.

What comes over a network or a pipe is in `tests/e2e/test_main_context.py`.
"""

import os
import threading
from pathlib import Path

import pytest

from buildkit.errors import BuildError, Cancelled, ContextError, DefinitionError, UsageError
from buildkit.main_context import NAMES, find_dockerfile, find_main, is_at_hand, is_local
from buildkit.progress.cancel import Cancel
from tests.trees import make_tree


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("context", "local"),
    [
        (".", True),
        ("no/such/directory", True),
        ("-", False),
        ("https://x.org/r.git", False),
        ("https://x.org/r.git#v1:sub", False),
        ("http://x.org/a.tar", False),
        ("git@x.org:o/r", False),
        ("ssh://x.org/r", False),
        ("git://x.org/r", False),
        ("github.com/o/r", False),
        ("gitlab.com/o/r", True),
    ],
)
def test_a_context_is_told_by_its_form(here: Path, context: str, local: bool) -> None:
    assert is_local(context) == local


def test_a_directory_goes_before_what_it_may_be_called(here: Path) -> None:
    make_tree(here / "github.com/o/r")
    assert is_local("github.com/o/r")


@pytest.mark.parametrize(
    ("context", "file", "at_hand"),
    [
        (".", None, True),
        (".", "a/b", True),
        (".", "-", False),
        (".", "https://x.org/Dockerfile", False),
        ("-", None, False),
        ("github.com/o/r", None, False),
    ],
)
def test_a_build_knows_beforehand_whether_anything_has_to_be_fetched(
    here: Path, context: str, file: str | None, at_hand: bool
) -> None:
    assert is_at_hand(context, file) == at_hand


@pytest.mark.parametrize("number", range(len(NAMES)))
def test_a_dockerfile_is_found_by_one_of_its_names(here: Path, number: int) -> None:
    make_tree(here / "c", *(f"file {name} text={name}" for name in NAMES[number:]))
    main = find_main("c", None)
    assert main.source == (NAMES[number], NAMES[number])
    assert main.dockerfile == f"c/{NAMES[number]}"
    assert (main.directory, main.kept) == ("c", True)
    assert main.context_name == str(here / "c")
    assert main.dockerfile_name == str(here / "c" / NAMES[number])


def test_a_named_one_is_seen_from_here(here: Path) -> None:
    make_tree(here, "dir c", "file d text=D")
    main = find_main("c", "d")
    assert (main.source.text, main.dockerfile, main.source.path) == ("D", "d", "d")
    assert main.dockerfile_name == str(here / "d")


def test_a_byte_order_mark_is_no_part_of_the_text(here: Path) -> None:
    (here / "Dockerfile").write_bytes(b"\xef\xbb\xbfFROM x\n")
    assert find_main(".", None).source.text == "FROM x\n"


@pytest.mark.parametrize(
    ("file", "hint"),
    [
        ("d", "-f is seen from the working directory: did you mean c/d?"),
        ("Dockerfle", "did you mean Dockerfile?"),
        ("c/dd", "did you mean c/d?"),
        ("none/of/these", ""),
        ("/none/d", ""),
    ],
)
def test_what_was_meant_by_a_dockerfile_that_is_not_there(here: Path, file: str, hint: str) -> None:
    make_tree(here, "dir c", "file c/d text=FROM x", "file Dockerfile text=FROM x")
    with pytest.raises(DefinitionError) as raised:
        find_main("c", file)
    assert raised.value.hint == hint


REFUSED: list[tuple[str, str | None, type[BuildError], str]] = [
    (".", None, DefinitionError, "open Dockerfile: no such file or directory"),
    (".", "no", DefinitionError, "failed to read dockerfile: open no: no such file or directory"),
    (".", "dir", DefinitionError, "failed to read dockerfile: open dir: is a directory"),
    ("no", None, ContextError, 'unable to prepare context: path "no" not found'),
    ("no", "file", ContextError, 'unable to prepare context: path "no" not found'),
    ("file", None, ContextError, 'path "file" is not a directory'),
    ("-", "-", UsageError, "can't use stdin for both build context and dockerfile"),
    ("-", None, UsageError, "this command takes a directory"),
    ("https://u:secret@x.org/r.git", None, UsageError, "https://***@x.org/r.git: this command"),
    (".", "https://x.org/d", UsageError, "this command takes a path"),
]


@pytest.mark.parametrize(("context", "file", "kind", "message"), REFUSED, ids=str)
def test_what_is_not_there_is_told(
    here: Path, context: str, file: str | None, kind: type[BuildError], message: str
) -> None:
    make_tree(here, "dir dir", "file file")
    with pytest.raises(kind) as raised:
        find_main(context, file)
    assert message in raised.value.message


def test_a_dockerfile_alone_needs_no_context(here: Path) -> None:
    make_tree(here, "file d text=D")
    path, source = find_dockerfile("no/context", "d")
    assert (path, source.text) == ("d", "D")
    with pytest.raises(ContextError):
        find_dockerfile("no/context", None)


def test_a_dockerfile_beyond_all_measure_is_refused(here: Path) -> None:
    with (here / "Dockerfile").open("wb") as file:
        file.truncate((16 << 20) + 1)
    with pytest.raises(DefinitionError, match="larger than 16 MiB"):
        find_main(".", None)


def test_a_named_pipe_is_waited_for_until_the_build_is_to_stop(here: Path) -> None:
    os.mkfifo("pipe")
    with Cancel() as cancel:
        writer = threading.Thread(target=Path("pipe").write_text, args=["FROM x\n"])
        writer.start()
        assert find_main(".", "pipe", cancel=cancel).source.text == "FROM x\n"
        writer.join()
        cancel.set()
        with pytest.raises(Cancelled):
            find_main(".", "pipe", cancel=cancel)
