"""No ignore file raises anything but our error, hangs, or takes more than its share of time."""

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from buildkit.context.ignore import Patterns
from buildkit.errors import ContextError
from tests.scaling import assert_in_proportion

fuzzed = settings(
    max_examples=max(300, settings().max_examples),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

SHARP = (
    b"a", b"b", b"/", b"/", b"*", b"**", b"**/", b"?", b"[", b"]", b"[^", b"[a-z]", b"-", b"\\",
    b"!", b"#", b".", b"..", b"\n", b"\n", b"\r\n", b" ", b"\t", b"\xef\xbb\xbf", b"\xff", b"\0",
    b"\xc3\xa9", b"\xe2\x80\x83", b"a" * 70_000,
)  # fmt: skip
PATHS = (
    "a",
    "a/b",
    "b/a/a",
    ".",
    "a.b",
    "é",
    "\udcff",
    "a\nb",
    "[",
    "*",
    "a" * 300,
    "/".join("a" * 80),
)


@fuzzed
@given(
    st.one_of(st.binary(max_size=60), st.lists(st.sampled_from(SHARP), max_size=25).map(b"".join))
)
def test_any_ignore_file_is_read_or_refused(data: bytes) -> None:
    try:
        patterns = Patterns.parse(data, ".dockerignore")
    except ContextError as error:
        assert error.message.startswith(".dockerignore:")
        return
    for path in PATHS:
        rule = patterns.rule_for(path)
        assert patterns.excludes(path) == (rule is not None and rule.excludes)
        patterns.may_match_below(path, patterns.state_of(path))


HUGE = 60_000


@pytest.mark.parametrize(
    "make",
    [
        lambda size: "a" * size,
        lambda size: "*" * size,
        lambda size: "**/" * (size // 3),
        lambda size: "a/" * (size // 2),
        lambda size: "../" * (size // 3),
        lambda size: "?" * size,
        lambda size: "[a]" * (size // 3),
        lambda size: "[" * size,
        lambda size: "\\a" * (size // 2),
        lambda size: "*a" * (size // 2),
        lambda size: "!" * size,
        lambda size: " " * size,
        lambda size: "a\n" * (size // 2),
        lambda size: "!**/a*\n" * (size // 7),
    ],
    ids=lambda make: make(12).strip().replace("\n", " "),
)
def test_a_huge_ignore_file_takes_time_in_proportion(make: Callable[[int], str]) -> None:
    def read(size: int) -> None:
        try:
            patterns = Patterns.parse(make(size).encode(), ".dockerignore")
        except ContextError:
            return
        for path in ("a/b/c", "b", "a" * 200):
            patterns.excludes(path)

    assert_in_proportion(read, HUGE)
