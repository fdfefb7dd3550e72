"""The parser that the build hook generates, held against Lark itself."""

import importlib.util
import pathlib
import subprocess
import sys
from types import ModuleType

import pytest

import hatch_build
from grammar import parser
from grammar.dump import dump
from grammar.errors import DockerfileError
from grammar.source import Source

FIXTURES = sorted(pathlib.Path("fixtures").glob("*/*/Dockerfile"))


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    root = tmp_path_factory.mktemp("project")
    (root / "grammar").mkdir()
    (root / hatch_build.GRAMMAR).write_bytes(pathlib.Path(hatch_build.GRAMMAR).read_bytes())
    hatch_build.generate(root)
    spec = importlib.util.spec_from_file_location("generated", root / hatch_build.GENERATED)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def seen(path: pathlib.Path) -> str:
    try:
        return dump(parser.parse(Source.decode("Dockerfile", path.read_bytes())))
    except DockerfileError as error:
        return str(error)


def test_both_parsers_give_the_same(generated: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    results = []
    for module in (None, generated):
        monkeypatch.setitem(sys.modules, "grammar.generated", module)
        parser._engine.cache_clear()
        results.append([seen(path) for path in FIXTURES])
    parser._engine.cache_clear()
    assert results[0] == results[1]


def test_a_parser_lying_in_the_tree_stems_from_the_grammar() -> None:
    path = pathlib.Path(hatch_build.GENERATED)
    if not path.exists():
        pytest.skip("no generated parser: run python hatch_build.py")
    before = path.stat().st_mtime_ns
    hatch_build.generate(pathlib.Path())
    assert path.stat().st_mtime_ns == before


def test_the_lighter_parser_imports_nothing_heavy(generated: ModuleType) -> None:
    code = pathlib.Path(str(generated.__file__)).read_text("utf-8")
    for name in ("logging", "dataclasses", "inspect", "pickle"):
        assert f"import {name}" not in code and f"from {name}" not in code


def test_code_that_lark_has_changed_is_left_alone() -> None:
    assert (
        hatch_build.lighter("import logging\nsomething new\n") == "import logging\nsomething new\n"
    )


def test_parsing_needs_neither_lark_nor_anything_heavy() -> None:
    if not pathlib.Path(hatch_build.GENERATED).exists():
        pytest.skip("no generated parser: run python hatch_build.py")
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
