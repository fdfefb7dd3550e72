"""What was selected from snapshots: what decides it, and that damage is no knowledge."""

import pytest

from buildkit.llb.op import CopyOp, CopySource, InlineFile
from buildkit.oci.digest import Digest
from buildkit.ops.remembered import find, save, spec_of
from buildkit.ops.stores import Stores
from tests.buildkit.ops.stock import copy

CHAIN = Digest.of(b"chain")
FOUND = Digest.of(b"found")


@pytest.mark.parametrize(
    "other",
    [
        copy("b"),
        copy("a", "b"),
        copy("a", exclude=("x",)),
        copy("a", parents=True),
        copy("a", chmod="644"),
        copy("a", chown="1"),
        copy("a", keep_owner=True),
    ],
    ids=str,
)
def test_what_changes_a_selection_changes_its_name(other: CopyOp) -> None:
    assert spec_of(other, 1) != spec_of(copy("a"), 1)


@pytest.mark.parametrize(
    "other",
    [
        copy("a", dest="/elsewhere"),
        copy("a", link=True),
        copy("a")._replace(sources=(CopySource(1, "a"), CopySource(2, "b"))),
        copy("a")._replace(sources=(CopySource(1, "a"), InlineFile("n", "text"))),
    ],
    ids=str,
)
def test_what_does_not_change_it_does_not(other: CopyOp) -> None:
    assert spec_of(other, 1) == spec_of(copy("a"), 1)


def test_one_owner_is_as_good_as_another() -> None:
    assert spec_of(copy("a", chown="1"), 1) == spec_of(copy("a", chown="app:staff"), 1)


def test_a_name_that_is_no_text_can_be_remembered() -> None:
    assert len(spec_of(copy("\udcff"), 1)) == 64


def test_what_was_saved_is_found(stores: Stores) -> None:
    assert find(stores.root, CHAIN, "spec") is None
    save(stores.root, [(CHAIN, "spec", FOUND)])
    assert find(stores.root, CHAIN, "spec") == FOUND
    assert find(stores.root, CHAIN, "other") is None
    assert find(stores.root, FOUND, "spec") is None


def test_a_damaged_row_is_nothing_known(stores: Stores) -> None:
    with stores.root.transaction() as database:
        row = (CHAIN, "spec", "no digest")
        database.execute("INSERT INTO snapshot_selection VALUES (?, ?, ?)", row)
    assert find(stores.root, CHAIN, "spec") is None
