"""The tables that the build hook generates, held against Lark's own parses."""

import pathlib
import subprocess
import sys
from typing import Any

import pytest
from lark import Lark, UnexpectedInput

import hatch_build
from grammar import parser
from grammar.lalr import Machine, UnexpectedToken
from grammar.lexer import tokens
from grammar.source import Source
from grammar.statements import read_statements

FIXTURES = sorted(pathlib.Path("fixtures").glob("*/*/Dockerfile"))


class Shape:
    """Callbacks that give the rule's name and its tokens."""

    def __getattr__(self, name: str) -> Any:
        return lambda found: (name, [(token.type, token.value) for token in found])


def statements(path: pathlib.Path) -> list[Any]:
    try:
        return list(read_statements(Source.decode("Dockerfile", path.read_bytes()))[1])
    except Exception:  # noqa: BLE001 - files that are none are tested elsewhere
        return []


def found_tokens(statement: Any) -> list[Any]:
    try:
        return list(tokens(statement))
    except Exception:  # noqa: BLE001 - an unknown instruction
        return []


@pytest.fixture(scope="module")
def lark() -> Any:
    text = pathlib.Path(hatch_build.GRAMMAR).read_text("utf-8")
    return Lark(text, parser="lalr", maybe_placeholders=False)


def test_the_tables_parse_what_lark_parses_and_as_lark_does(lark: Any) -> None:
    compared = 0
    for path in FIXTURES:
        for statement in statements(path):
            found = found_tokens(statement)
            for cut in range(1, len(found) + 1):  # most of these lack something
                compared += 1
                assert ours(found[:cut]) == theirs(lark, found[:cut]), (path, statement)
    assert compared > 500


def ours(found: list[Any]) -> Any:
    machine: Machine[Any] = Machine(parser._table(), Shape())
    try:
        for token in found:
            machine.feed(token)
        return machine.finish()
    except UnexpectedToken as error:
        return error.accepted


def theirs(lark: Any, found: list[Any]) -> Any:
    state = lark.parse_interactive("")
    try:
        for token in found:
            state.feed_token(token)
        tree = state.feed_eof()
        return tree.data, [(token.type, token.value) for token in tree.children]
    except UnexpectedInput:
        return tuple(sorted(name for name in state.choices() if name.isupper()))


def test_tables_lying_in_the_tree_stem_from_the_grammar() -> None:
    path = pathlib.Path(hatch_build.GENERATED)
    if not path.exists():
        pytest.skip("no generated tables: run python hatch_build.py")
    before = path.stat().st_mtime_ns
    hatch_build.generate(pathlib.Path())
    assert path.stat().st_mtime_ns == before


def test_generated_tables_are_those_that_are_made_at_run_time(tmp_path: pathlib.Path) -> None:
    (tmp_path / "grammar").mkdir()
    for name in (hatch_build.GRAMMAR, hatch_build.TABLES):
        (tmp_path / name).write_bytes(pathlib.Path(name).read_bytes())
    hatch_build.generate(tmp_path)
    scope: dict[str, Any] = {}
    exec((tmp_path / hatch_build.GENERATED).read_text("utf-8"), scope)
    from grammar.tables import compile_tables

    assert scope["TABLES"] == compile_tables(pathlib.Path(hatch_build.GRAMMAR).read_text("utf-8"))


@pytest.mark.parametrize(
    ("target", "version", "added"),
    [
        ("wheel", "standard", {"docs/lint": "grammar/lint/pages"}),
        ("wheel", "editable", {}),
        ("sdist", "standard", {}),
    ],
)
def test_a_wheel_has_the_pages_of_lint_rules(
    target: str, version: str, added: dict[str, str]
) -> None:
    hook: Any = hatch_build.ParserHook(str(pathlib.Path().absolute()), {}, None, None, "", target)  # type: ignore[arg-type]
    data: dict[str, Any] = {"artifacts": [], "force_include": {}}
    hook.initialize(version, data)
    assert data == {"artifacts": ["/grammar/generated.py"], "force_include": added}


def test_parsing_needs_neither_lark_nor_anything_heavy() -> None:
    if not pathlib.Path(hatch_build.GENERATED).exists():
        pytest.skip("no generated tables: run python hatch_build.py")
    program = (
        "import sys, grammar.parser, grammar.source\n"
        "grammar.parser.parse(grammar.source.Source('x', 'FROM a'))\n"
        "heavy = 'lark logging dataclasses inspect pickle asyncio subprocess'.split()\n"
        "print(*sorted(set(heavy) & set(sys.modules)))\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert found.stdout == "\n"
