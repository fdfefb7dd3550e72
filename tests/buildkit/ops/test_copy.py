"""COPY from contexts and stages: every case in fixtures/copy, and what no case can say."""

import os
from pathlib import Path

import pytest

from buildkit.context.local import LocalContext
from buildkit.context.tree import Tree
from buildkit.errors import BuildError
from buildkit.llb.op import CopyOp
from buildkit.ops.copy import copy_into
from buildkit.ops.select import select
from buildkit.ops.selection import Selection
from tests.buildkit.ops.cases import TOP, Case, parse_copy, read_cases
from tests.trees import make_tree, read_tree

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs to give files away")

pytestmark = needs_root


class Stage:
    """A context, a stage and a parent on disk, and copies between them."""

    def __init__(self, tmp: Path, sections: dict[str, list[str]]) -> None:
        self.tmp = tmp
        make_tree(tmp / "context", *sections.get("context", []))
        if "ignore" in sections:
            (tmp / "context/.dockerignore").write_text("\n".join(sections["ignore"]) + "\n")
        make_tree(tmp / "stage", *sections.get("stage", []))
        self.parent: int | None = None
        if "parent" in sections:
            make_tree(tmp / "parent", *sections["parent"])
            self.parent = os.open(tmp / "parent", os.O_PATH | os.O_DIRECTORY)
        self.context = LocalContext.open(str(tmp / "context"))
        self.stage = os.open(tmp / "stage", os.O_PATH | os.O_DIRECTORY)
        self.trees = {1: self.context.tree, 2: Tree(self.stage, "stage")}

    def select(self, op: CopyOp) -> Selection:
        return select(op, self.trees)

    def copy(self, op: CopyOp, selection: Selection) -> list[str]:
        upper = self.tmp / "upper"
        upper.mkdir()
        view = None if op.link else self.parent
        copy_into(op, selection, self.trees, view, str(upper), owner_view=self.parent)
        return read_tree(upper)

    def close(self) -> None:
        self.context.close()
        self.trees[2].close()
        os.close(self.stage)
        if self.parent is not None:
            os.close(self.parent)


def run(tmp: Path, sections: dict[str, list[str]], instruction: str) -> list[str]:
    op, _ = parse_copy(instruction, sections.get("heredocs", []))
    stage = Stage(tmp, sections)
    try:
        return stage.copy(op, stage.select(op))
    finally:
        stage.close()


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=f"{case.place}: {case.name}")
        for case in read_cases(TOP / "fixtures/copy")
    ],
)
def test_a_copy_gives_what_its_case_says(case: Case, tmp_path: Path) -> None:
    if "error" in case.sections:
        with pytest.raises(BuildError) as caught:
            run(tmp_path, case.sections, case.instruction)
        assert case.sections["error"][0] in caught.value.message
        assert case.sections.get("hint", [""])[0] in caught.value.hint
        return
    found = run(tmp_path, case.sections, case.instruction)
    wanted = make_tree(tmp_path / "wanted", *case.sections["upper"])
    assert found == read_tree(wanted)
