"""Directories as contexts: which ignore file counts, what is listed, that nothing leads out."""

import os
from pathlib import Path

import pytest

from buildkit.context.local import LocalContext
from buildkit.errors import ContextError
from tests.trees import make_tree


def listed(context: LocalContext, *, seen: bool = True) -> list[str]:
    return [one.path for one in context.list() if one.seen == seen]


def test_an_ignore_file_beside_the_dockerfile_counts_before_that_of_the_context(
    tmp_path: Path,
) -> None:
    make_tree(tmp_path / "context", "file a", "file b", "file .dockerignore text=a")
    make_tree(tmp_path, "file elsewhere/App.dockerignore text=b", "file elsewhere/App")
    beside = LocalContext.open(
        str(tmp_path / "context"), dockerfile=str(tmp_path / "elsewhere/App")
    )
    assert listed(beside) == [".dockerignore", "a"]
    assert beside.ignore_file.endswith("elsewhere/App.dockerignore")
    own = LocalContext.open(str(tmp_path / "context"), dockerfile=str(tmp_path / "elsewhere/Other"))
    assert listed(own) == [".dockerignore", "b"]
    assert own.ignore_file == ".dockerignore"
    for context in (beside, own):
        context.close()


def test_a_hidden_directory_is_not_looked_into(tmp_path: Path) -> None:
    make_tree(tmp_path, "file docs/deep/a", "file src/b", "file .dockerignore text=docs")
    context = LocalContext.open(str(tmp_path))
    assert listed(context, seen=False) == ["docs"]
    assert listed(context) == [".dockerignore", "src", "src/b"]
    context.close()


def test_a_path_is_explained_however_it_is_written(tmp_path: Path) -> None:
    make_tree(tmp_path, "file docs/a", "file .dockerignore text=b'#\\ndocs\\n'")
    context = LocalContext.open(str(tmp_path))
    for path in ("docs/a", "/docs/a", "./docs/../docs/a"):
        rule = context.why(path)
        assert rule is not None
        assert rule.line == 2
    assert context.why("src") is None
    context.close()


@pytest.mark.parametrize(
    ("path", "message"), [("none", "not found"), ("file", "is not a directory")]
)
def test_a_context_that_is_no_directory_is_refused(tmp_path: Path, path: str, message: str) -> None:
    make_tree(tmp_path, "file file")
    with pytest.raises(ContextError) as caught:
        LocalContext.open(str(tmp_path / path))
    assert caught.value.message.startswith("unable to prepare context")
    assert message in caught.value.message


def test_files_are_read_inside_the_context_only(tmp_path: Path) -> None:
    make_tree(
        tmp_path,
        "file outside text=no",
        "file context/in text=yes",
        "link context/to_in -> /in",
        f"link context/to_out -> {tmp_path}/outside",
        "link context/up -> ../outside",
        "fifo context/pipe",
    )
    context = LocalContext.open(str(tmp_path / "context"))
    assert context.read("in") == b"yes"
    assert context.read("to_in") == b"yes"
    assert context.read("../outside") is None
    assert context.read("to_out") is None
    assert context.read("up") is None
    assert context.read("pipe") is None
    context.close()


def test_an_ignore_file_that_is_a_fifo_does_not_hang(tmp_path: Path) -> None:
    make_tree(tmp_path, "fifo .dockerignore", "file a")
    context = LocalContext.open(str(tmp_path))
    assert listed(context) == [".dockerignore", "a"]
    context.close()


@pytest.mark.parametrize("kind", ["dir", "fifo"])
def test_an_ignore_file_beside_the_dockerfile_is_a_file(kind: str, tmp_path: Path) -> None:
    make_tree(tmp_path, "file Dockerfile", f"{kind} Dockerfile.dockerignore")
    with pytest.raises(ContextError, match=r"Dockerfile\.dockerignore is not a regular file"):
        LocalContext.open(str(tmp_path), dockerfile=str(tmp_path / "Dockerfile"))


def test_an_unreadable_directory_is_named(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root reads everything")
    make_tree(tmp_path, "dir locked 0000")
    context = LocalContext.open(str(tmp_path))
    with pytest.raises(ContextError, match="locked"):
        listed(context)
    context.close()


def test_a_hidden_directory_is_seen_with_what_an_exception_brings_back(tmp_path: Path) -> None:
    make_tree(
        tmp_path,
        "file .dockerignore text=b'*\\n!src/in/a\\n!x/*/y'",
        "file src/in/a",
        "file src/in/b",
        "file src/c",
        "file x/z/deep",
        "file doc/d",
    )
    context = LocalContext.open(str(tmp_path))
    assert listed(context) == ["src", "src/in", "src/in/a"]
    assert listed(context, seen=False) == [".dockerignore", "doc", "src/c", "src/in/b", "x"]
    context.close()
