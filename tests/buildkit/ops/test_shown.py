"""What a mount shows, as a copy."""

from pathlib import Path

import pytest

from buildkit.ops.select import select
from buildkit.ops.shown import mount_copy
from tests.buildkit.ops.stock import Directories
from tests.trees import make_tree


@pytest.mark.parametrize("name", ["a*", "a?", "[a]", "a\\b"])
def test_a_mount_has_no_wildcards(tmp_path: Path, name: str) -> None:
    make_tree(tmp_path, "file ab", "file aX")
    (tmp_path / name).write_text("meant")
    contexts = Directories({"c": tmp_path})
    selection = select(mount_copy(1, f"/{name}"), {1: contexts.tree("c")})
    assert [root.path for root in selection.roots] == [name]
    contexts.close()


def test_owners_of_what_is_shown_count() -> None:
    op = mount_copy(3, "/x")
    assert (op.keep_owner, op.unpack, op.sources[0].origin) == (True, "never", 3)  # type: ignore[union-attr]
