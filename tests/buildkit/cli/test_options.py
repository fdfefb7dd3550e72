"""What the commands share of the command line."""

from pathlib import Path

import pytest

from buildkit.cli.argument_parser import argparse_parser
from buildkit.cli.argument_reader import read
from buildkit.cli.options import LONGEST, bare, parser_for, patience, seconds, state_path, switch
from buildkit.errors import UsageError


@pytest.mark.parametrize(
    ("option", "environment", "path"),
    [
        ("/o", {"PYBUILD_ROOT": "/e"}, "/o"),
        ("rel", {}, "{cwd}/rel"),
        (None, {"PYBUILD_ROOT": "/e"}, "/e"),
        (None, {"PYBUILD_ROOT": "rel"}, "{cwd}/rel"),
        (None, {"XDG_DATA_HOME": "/x"}, "/x/pybuild"),
        (None, {"XDG_DATA_HOME": "rel", "HOME": "/h"}, "/h/.local/share/pybuild"),
        (None, {"HOME": "/h"}, "/h/.local/share/pybuild"),
    ],
)
def test_the_state_root_is_chosen_by_option_environment_and_user(
    option: str | None,
    environment: dict[str, str],
    path: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("os.getuid", lambda: 1000)
    for name in ("PYBUILD_ROOT", "XDG_DATA_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert state_path(option) == path.format(cwd=tmp_path)


def test_root_has_a_place_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYBUILD_ROOT", raising=False)
    monkeypatch.setattr("os.getuid", lambda: 0)
    assert state_path(None) == "/var/lib/pybuild"


def test_a_user_without_a_home_has_to_name_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getuid", lambda: 1000)
    for name in ("PYBUILD_ROOT", "XDG_DATA_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UsageError, match="no place for images"):
        state_path(None)


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ([], False),
        (["--dry"], True),
        (["--dry=true"], True),
        (["--dry=1"], True),
        (["--dry=False"], False),
        (["--dry", "--dry=f"], False),
    ],
)
def test_a_switch_is_given_or_has_a_value(words: list[str], value: bool) -> None:
    parser = parser_for("x", "")
    switch(parser, "--dry", help="")
    parser.add_argument("rest", nargs="*")
    found = read(parser, [*words, "word"])
    assert (found.dry, found.rest) == (value, ["word"])


def test_a_switch_of_two_names_is_on_until_it_is_off() -> None:
    parser = parser_for("x", "")
    switch(parser, "-H", "--human", default=True, help="for people")
    parser.add_argument("rest")
    for words, value in (([], True), (["-H"], True), (["--human=0"], False)):
        found = read(parser, [*words, "word"])
        assert (found.human, found.rest) == (value, "word")
    assert "\n  -H, --human  for people\n" in argparse_parser(parser).format_help()


def test_an_option_that_may_stand_alone_never_takes_the_next_word() -> None:
    parser = parser_for("x", "")
    parser.add_argument("--when", default="never")
    parser.add_argument("rest")
    bare(parser, "--when", "--when=always")
    found = read(parser, ["--when", "newer"])
    assert (found.when, found.rest) == ("always", "newer")


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (["--dri"], "unknown option --dri", "did you mean --dry?"),
        (
            ["--wholly-else=1"],
            "unknown option --wholly-else",
            "'pybuild x --help' tells the options",
        ),
        (["a", "b"], "one argument too many: b", "'pybuild x --help' tells the options"),
        (["--dry=perhaps"], "'perhaps' is neither true nor false", ""),
    ],
)
def test_a_mistake_is_told_with_what_may_help(words: list[str], message: str, hint: str) -> None:
    parser = parser_for("x", "")
    switch(parser, "--dry", help="")
    parser.add_argument("first", nargs="?")
    with pytest.raises(UsageError) as raised:
        read(parser, words)
    assert message in raised.value.message
    assert hint in raised.value.hint


@pytest.mark.parametrize("text", ["5s", "nan", "inf", "", "x", "-1"])
def test_what_is_no_number_of_seconds_is_told(text: str) -> None:
    assert seconds("0.5") == 0.5
    with pytest.raises(ValueError, match="is no number of seconds, as in 10 or "):
        seconds(text)


@pytest.mark.parametrize(
    ("text", "expected"), [("-1", LONGEST), ("0", 0), ("2.5", 2.5), ("1e300", LONGEST)]
)
def test_patience_without_end_is_a_long_one(text: str, expected: float) -> None:
    assert patience(text) == expected
