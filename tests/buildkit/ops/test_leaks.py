"""Secrets in new layers."""

import os
from pathlib import Path

import pytest

from buildkit.errors import StepError
from buildkit.ops.leaks import LeakWatch, values_of
from buildkit.ops.secrets import SecretSource
from buildkit.ops.stores import Stores
from tests.trees import make_tree

VALUE = "correct-horse-battery-staple"


@pytest.mark.parametrize(
    ("line", "where"),
    [
        (f"file etc/app.conf text=key={VALUE}", "/etc/app.conf"),
        (f"link etc/link -> {VALUE}", "/etc/link"),
        (f"file etc/{VALUE}", "a name"),
    ],
)
def test_no_layer_is_made_of_a_tree_with_a_secret(stores: Stores, line: str, where: str) -> None:
    active = stores.snapshots.prepare(None)
    make_tree(Path(active.upper), "file first text=1", line, "file last text=2")
    with pytest.raises(StepError) as caught:
        stores.snapshots.commit(active, watch=LeakWatch({"t": VALUE.encode()}))
    assert str(caught.value) == f"secret t is in the layer of this step: {where}"
    assert VALUE not in caught.value.hint
    assert os.listdir(stores.root.path("layers")) == []
    assert not os.path.exists(active.directory)


def test_a_large_file_is_searched_across_blocks(stores: Stores) -> None:
    active = stores.snapshots.prepare(None)
    data = b"x" * ((1 << 20) - 10) + VALUE.encode() + b"x" * (1 << 20)
    Path(active.upper, "large").write_bytes(data)
    with pytest.raises(StepError, match="/large"):
        stores.snapshots.commit(active, watch=LeakWatch({"t": VALUE.encode()}))


def test_the_end_of_a_file_and_the_beginning_of_the_next_are_no_secret(stores: Stores) -> None:
    active = stores.snapshots.prepare(None)
    make_tree(Path(active.upper), f"file a text={VALUE[:9]}", f"file b text={VALUE[9:]}")
    plain = stores.snapshots.commit(active, watch=LeakWatch({"t": VALUE.encode()}))
    assert len(plain.changes) == 2


def test_a_secret_that_cannot_be_read_is_nowhere(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"1")
    sources = {
        "one": SecretSource(str(tmp_path / "one"), ""),
        "gone": SecretSource(str(tmp_path / "gone"), ""),
    }
    assert values_of(sources) == {"one": b"1"}
