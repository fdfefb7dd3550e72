"""Lint during a build: what is shown, when it fails, and that it is remembered."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from buildkit.findings import Told, tell
from buildkit.frontend.findings import undefined_variable
from buildkit.state.root import StateRoot
from grammar.errors import DockerfileError
from grammar.parser import parse
from grammar.source import Source, Span

TEXT = "FROM alpine\nCMD ['a', 'b']\n"
SHOWN = tuple(
    """\
JSONArgsRecommended: JSON arguments recommended for CMD to prevent unintended behavior related to \
OS signals (line 2)
InvalidJSONForm: Arguments of CMD look like a JSON array, but are no valid one and are taken as a \
shell command (line 2)
""".splitlines()
)


@pytest.fixture
def root(tmp_path: Path) -> Iterator[StateRoot]:
    with StateRoot.open(str(tmp_path / "root")) as opened:
        yield opened


def told(text: str, root: StateRoot, override: str | None = None) -> Told:
    return tell(parse(Source("Dockerfile", text)), (), override, root)


def test_a_build_shows_what_is_no_mere_advice(root: StateRoot) -> None:
    assert told(TEXT, root) == Told(SHOWN, "")


def test_what_was_said_is_remembered_for_the_same_text_and_settings(root: StateRoot) -> None:
    told(TEXT, root)
    (file,) = Path(root.path("lint")).iterdir()
    file.write_text(json.dumps([["as remembered"], ""]))
    assert told(TEXT, root) == Told(("as remembered",), "")
    assert told(TEXT, root, "skip=all") == Told((), "")
    assert told(TEXT + "USER a\n", root).lines == SHOWN


def test_what_is_remembered_and_damaged_is_found_anew(root: StateRoot) -> None:
    told(TEXT, root)
    (file,) = Path(root.path("lint")).iterdir()
    for damage in ("", "[", "[1]", "{}", "[[], ", "null"):
        file.write_text(damage)
        assert told(TEXT, root) == Told(SHOWN, "")


def test_the_folder_holds_no_more_than_a_few_hundred_files(root: StateRoot) -> None:
    folder = Path(root.path("lint"))
    folder.mkdir(exist_ok=True)
    for number in range(300):
        (folder / str(number)).touch()
    told(TEXT, root)
    assert len(list(folder.iterdir())) == 256


def test_findings_of_the_frontend_can_be_skipped_too(root: StateRoot) -> None:
    finding = undefined_variable("x", ["y"], Span("Dockerfile", 2, 0, 3, 2))
    dockerfile = parse(Source("Dockerfile", TEXT))
    lines = tell(dockerfile, [finding], None, root).lines
    assert lines[1] == "UndefinedVar: Usage of undefined variable '$x' (did you mean $y?) (line 2)"
    assert tell(dockerfile, [finding], "skip=UndefinedVar", root).lines == SHOWN


def test_with_error_true_the_reference_rules_that_are_violated_are_named(root: StateRoot) -> None:
    text = "# check=error=true\nFROM alpine as Base\nCMD ['a', 'b']\n"
    message = "lint violation found for rules: FromAsCasing, JSONArgsRecommended, StageNameCasing"
    assert told(text, root).violated == message
    assert told(text, root, "error=false").violated == ""


def test_rules_of_our_own_make_no_build_fail_that_succeeds_with_buildkit(root: StateRoot) -> None:
    text = "# check=error=true\nFROM alpine\nRUN ['a', 'b']\n"
    found = told(text, root)
    assert len(found.lines) == 1
    assert found.violated == ""


def test_a_setting_that_is_none_is_an_error(root: StateRoot) -> None:
    with pytest.raises(DockerfileError, match='line 1: invalid check option "x"'):
        told("# check=x=y\nFROM a\n", root)
    with pytest.raises(DockerfileError, match='invalid check option "y"'):
        told(TEXT, root, "y")
