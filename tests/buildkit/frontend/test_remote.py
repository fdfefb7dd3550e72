"""Sources of ADD that are not in the context."""

from typing import Any

import pytest

from buildkit.frontend.remote import GitSource, http_op, is_git, is_remote, parse_git
from grammar.errors import FlagError

REPOSITORY = GitSource(
    remote="https://h/r.git", ref="", subdir="", checksum="", keep_git_dir=None, submodules=True
)


@pytest.mark.parametrize(
    ("source", "remote", "git"),
    [
        ("a/b", False, False),
        ("./git@h:r", False, False),
        ("../git@h:r", False, False),
        ("github.com/o/r.git", False, False),
        ("a@b", False, False),
        ("ftp://h/p", False, False),
        ("http://h/p", True, False),
        ("https://h/r.git", True, True),
        ("https://h/r.git#main", True, True),
        ("https://h/r.git?ref=main#:sub", True, True),
        ("https://h/r?x=.git", True, False),
        ("https://h/r#.git", True, False),
        ("git://h/r", True, True),
        ("ssh://git@h:22/r", True, True),
        ("git@h:o/r", True, True),
        ("git@h.example:o/r.git#main", True, True),
    ],
)
def test_a_source_is_a_path_a_download_or_a_repository(
    source: str, remote: bool, git: bool
) -> None:
    assert (is_remote(source), is_git(source)) == (remote, git)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://h/a/b.tar.gz", "b.tar.gz"),
        ("http://h/a/b/", "b"),
        ("http://h/a?x=/y#/z", "a"),
        ("http://h/%20a%2Fb", "b"),
        ("http://h/", "__unnamed__"),
        ("http://h", "__unnamed__"),
        ("http://h?x", "__unnamed__"),
        ("http://h/a/..", "__unnamed__"),
        ("http://h/%2e%2e", "__unnamed__"),
    ],
)
def test_a_download_is_named_by_the_path_of_its_url(url: str, name: str) -> None:
    assert http_op(url, "").filename == name


@pytest.mark.parametrize(
    ("rest", "changes"),
    [
        ("", {}),
        ("#main", {"ref": "main"}),
        ("#main:a/b", {"ref": "main", "subdir": "a/b"}),
        ("#:a", {"subdir": "a"}),
        ("?ref=main&subdir=a%20b", {"ref": "main", "subdir": "a b"}),
        ("?tag=v1", {"ref": "refs/tags/v1"}),
        ("?tag=refs/tags/v1", {"ref": "refs/tags/v1"}),
        ("?branch=b", {"ref": "refs/heads/b"}),
        ("?checksum=abc", {"ref": "abc", "checksum": "abc"}),
        ("?commit=abc&ref=main", {"ref": "main", "checksum": "abc"}),
        ("?keep-git-dir", {"keep_git_dir": True}),
        ("?keep-git-dir=false", {"keep_git_dir": False}),
        ("?submodules=0", {"submodules": False}),
        ("?submodules", {}),
        ("?mtime=checkout&fetch-by-commit=false", {}),
        ("?ref=main#main", {"ref": "main"}),
    ],
)
def test_a_repository_says_what_of_it_is_wanted(rest: str, changes: dict[str, Any]) -> None:
    assert parse_git(f"https://h/r.git{rest}") == REPOSITORY._replace(**changes)


def test_the_short_form_has_a_fragment_too() -> None:
    assert parse_git("git@h:o/r.git#v1:sub") == REPOSITORY._replace(
        remote="git@h:o/r.git", ref="v1", subdir="sub"
    )


@pytest.mark.parametrize(
    ("rest", "message"),
    [
        ("?ref=a#b", 'ref conflicts: "b" vs "a"'),
        ("?ref=a&tag=b", 'ref conflicts: "a" vs "refs/tags/b"'),
        ("?tag=a&branch=b", "branch conflicts with tag"),
        ("?subdir=a#:b", 'subdir conflicts: "b" vs "a"'),
        ("?ref=a&ref=a", 'query "ref" has multiple values'),
        ("?ref=", 'query "ref" has no value'),
        ("?keep-git-dir=maybe", 'invalid keep-git-dir value: "maybe"'),
        ("?depth=1", 'unexpected query "depth"'),
        ("?mtime=commit", 'query "mtime" can only be "checkout" here'),
        ("?fetch-by-commit=true", 'query "fetch-by-commit" is not supported'),
    ],
)
def test_what_contradicts_itself_is_refused(rest: str, message: str) -> None:
    with pytest.raises(FlagError) as caught:
        parse_git(f"https://h/r.git{rest}")
    assert caught.value.message == message
