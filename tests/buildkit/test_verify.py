from pathlib import Path

import pytest

from buildkit.verify import differing, sample
from tests.buildkit.records.samples import build, step
from tests.trees import make_tree

TREE = ("file a 0644 text=a", "file d/b 0755 text=b", "link l -> a")


@pytest.mark.parametrize(
    ("other", "paths"),
    [
        (TREE, []),
        (("file a 0644 text=a mtime=7", *TREE[1:]), []),
        (("file a 0644 text=other", *TREE[1:]), ["/a"]),
        (("file a 0600 text=a", *TREE[1:]), ["/a"]),
        ((TREE[0], "file d/b 0755 text=b", "link l -> d"), ["/l"]),
        ((*TREE, "file d/new 0644"), ["/d/new"]),
        (TREE[:1], ["/d", "/d/b", "/l"]),
        ((*TREE, "dir . 0700"), ["/"]),
    ],
)
def test_trees_are_compared_but_for_times(
    tmp_path: Path, other: tuple[str, ...], paths: list[str]
) -> None:
    old = make_tree(tmp_path / "old", *TREE)
    new = make_tree(tmp_path / "new", *other)
    assert differing(str(old), str(new)) == paths


def test_a_share_of_the_steps_is_chosen_at_random() -> None:
    record = build("a", *(step(number, "RUN x") for number in range(1, 41)))
    found = [(record, position) for position in range(40)]
    assert len(sample(found, 10)) == 4
    assert len(sample(found, 0.1)) == 1
    assert sorted(sample(found, 100)) == sorted(found)
    assert sample(found, 10, seed=1) == sample(found, 10, seed=1)
    assert sample([], 10) == []
