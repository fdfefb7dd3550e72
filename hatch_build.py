"""The build hook: generates `grammar/generated.py` from `grammar/dockerfile.lark`.

The generated parser starts 50 ms faster than Lark does with the grammar, and a fully cached build
takes 100. It runs for wheels and for editable installs; `python hatch_build.py` does the same in a
checkout. The file is git-ignored; a test compares its digest with the grammar's.
"""

import hashlib
import io
import pathlib
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from lark import Lark
from lark.tools.standalone import gen_standalone

GRAMMAR = "grammar/dockerfile.lark"
GENERATED = "grammar/generated.py"


class ParserHook(BuildHookInterface):  # type: ignore[type-arg,misc,unused-ignore]
    """Runs before hatchling collects the files."""

    PLUGIN_NAME = "parser"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Write the parser below the root of the project."""
        generate(pathlib.Path(self.root))
        build_data["artifacts"].append(f"/{GENERATED}")


def generate(root: pathlib.Path) -> None:
    """Write the parser, unless it stems from this very grammar already."""
    text = (root / GRAMMAR).read_bytes()
    digest = hashlib.sha256(text).hexdigest()
    ending = f'\nGRAMMAR_DIGEST = "{digest}"\n'
    generated = root / GENERATED
    if generated.exists() and generated.read_text("utf-8").endswith(ending):
        return
    parser = Lark(text.decode(), parser="lalr", maybe_placeholders=False)
    out = io.StringIO()
    gen_standalone(parser, out=out)
    generated.write_text(out.getvalue() + ending, "utf-8")


if __name__ == "__main__":
    generate(pathlib.Path(__file__).parent)
