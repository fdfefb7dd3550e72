"""The build hook: generates `grammar/generated.py` from `grammar/dockerfile.lark`; adds lint pages.

Lark takes 60 ms to make its tables of the grammar, and a fully cached build takes less than 100; so
the tables are made when the distribution is built. The hook runs for wheels and for editable
installs; `python hatch_build.py` does the same in a checkout. The file is git-ignored; a test
compares its digest with the grammar's. A wheel has the pages of `docs/lint` in the package, for
`pybuild check --explain`; a checkout has them where they are.
"""

from __future__ import annotations

import hashlib
import pathlib
import runpy
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

GRAMMAR = "grammar/dockerfile.lark"
TABLES = "grammar/tables.py"
GENERATED = "grammar/generated.py"
PAGES = ("docs/lint", "grammar/lint/pages")


class ParserHook(BuildHookInterface):  # type: ignore[type-arg,misc,unused-ignore]
    """Runs before hatchling collects the files."""

    PLUGIN_NAME = "parser"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the tables below the root of the project."""
        generate(pathlib.Path(self.root))
        build_data["artifacts"].append(f"/{GENERATED}")
        if self.target_name == "wheel" and version == "standard":
            kept, installed = PAGES
            build_data["force_include"][kept] = installed


def generate(root: pathlib.Path) -> None:
    """Write the tables, unless they stem from this very grammar and maker already."""
    text = (root / GRAMMAR).read_bytes()
    maker = root / TABLES
    digest = hashlib.sha256(text + maker.read_bytes()).hexdigest()
    ending = f'GRAMMAR_DIGEST = "{digest}"\n'
    generated = root / GENERATED
    if generated.exists() and generated.read_text("utf-8").endswith(ending):
        return
    tables = runpy.run_path(str(maker))["compile_tables"](text.decode())
    head = f'"""LALR tables of {GRAMMAR}, made by {pathlib.Path(__file__).name}; do not edit."""'
    generated.write_text(f"{head}\n\nTABLES = {tables!r}\n{ending}", "utf-8")


if __name__ == "__main__":
    generate(pathlib.Path(__file__).parent)
