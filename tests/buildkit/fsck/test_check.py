import io
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from buildkit.content.local import LocalBlobStore
from buildkit.errors import StoreError
from buildkit.fsck import Finding, fsck
from buildkit.image_list import listed
from buildkit.images import ImageStore
from buildkit.oci.config import ImageConfig
from buildkit.oci.digest import Digest
from buildkit.oci.platforms import Platform
from buildkit.oci.reference import Reference
from buildkit.snapshot.overlay import OverlayStore
from buildkit.state.root import StateRoot
from tests.buildkit.snapshot.tars import Tar
from tests.contract.conftest import Steps
from tests.kernel import needs_overlay, needs_root

pytestmark = [needs_root, needs_overlay]

TAR = Tar().add("etc/foreign", data=b"1").symlink("l", "x").add("etc/.wh.gone").finished()


class Filled:
    """A store with an image of one packed and one foreign layer, a step, and its parts by name."""

    def __init__(self, top: Path) -> None:
        self.top = top
        with closing(StateRoot.open(str(top))) as root:
            store = OverlayStore(root)
            self.packed = Steps(root, store).base("file a text=1", "dir d").diff_id
            self.foreign = store.unpack(io.BytesIO(TAR))
            self.blob = LocalBlobStore(root).put_bytes(TAR).digest
            root.database().execute(
                "INSERT OR REPLACE INTO blob_form VALUES(?, 'none', '', ?, ?)",
                (self.foreign, self.blob, len(TAR)),
            )
            config = ImageConfig(Platform("linux", "amd64"), diff_ids=(self.packed, self.foreign))
            self.image = ImageStore(root).add(config.encode(), [Reference.parse("app")])
            root.database().execute(
                "INSERT OR REPLACE INTO step VALUES('k', '{}', '', ?, '', '', '{}', 0)",
                (self.packed,),
            )
            store.close()

    def fsck(self, **how: bool) -> tuple[Finding, ...]:
        with closing(StateRoot.open(str(self.top))) as root:
            return fsck(root, **how)

    def sql(self, statement: str, *values: str) -> None:
        with closing(StateRoot.open(str(self.top))) as root:
            root.database().execute(statement, values)

    def layer(self, diff_id: Digest) -> Path:
        return self.top / "layers" / diff_id.hex

    def path(self, digest: Digest) -> Path:
        return self.top / "blobs" / "sha256" / digest.hex


@pytest.fixture
def filled(tmp_path: Path) -> Iterator[Filled]:
    yield Filled(tmp_path / "root")


def snapshot_of(top: Path) -> list[tuple[str, int]]:
    found = []
    for directory, _, names in os.walk(top):
        for name in names:
            if not name.endswith(("-wal", "-shm", ".lock")):
                path = os.path.join(directory, name)
                found.append((path, os.lstat(path).st_size))
    return sorted(found)


DAMAGE: dict[str, tuple[Callable[[Filled], object], str, bool]] = {
    "a flipped bit in a blob": (
        lambda one: one.path(one.blob).write_bytes(b"x" + TAR[1:]),
        "has other content than its name says",
        False,
    ),
    "a lost config": (lambda one: one.path(one.image).unlink(), "has no config", False),
    "a directory in place of a blob": (
        lambda one: (one.path(one.image).unlink(), one.path(one.image).mkdir()),
        "is no regular file",
        False,
    ),
    "a strange file": (
        lambda one: (one.top / "blobs/sha256/README").touch(),
        "is no blob",
        False,
    ),
    "a lost layer": (
        lambda one: one.layer(one.packed).rename(one.top / "layers" / ("0" * 64)),
        "has no directory",
        False,
    ),
    "a lost foreign layer": (
        lambda one: one.layer(one.foreign).rename(one.top / "layers" / ("0" * 64)),
        "has no directory",
        False,
    ),
    "a lost blob of a foreign layer": (
        lambda one: one.path(one.blob).unlink(),
        "which it should have",
        False,
    ),
    "a layer from before a power cut": (
        lambda one: one.sql("UPDATE layer SET synced=0, boot_id='x' WHERE origin='packed'"),
        "was not on disk when the machine went down",
        False,
    ),
    "a changed file in a layer": (
        lambda one: (one.layer(one.packed) / "fs/a").write_text("2"),
        "has another content now",
        True,
    ),
    "a changed file in a foreign layer": (
        lambda one: (one.layer(one.foreign) / "fs/etc/foreign").write_text("2"),
        "differs from its blob: 'etc/foreign' has other attributes",
        True,
    ),
    "a file too many in a foreign layer": (
        lambda one: (one.layer(one.foreign) / "fs/more").touch(),
        "differs from its blob",
        True,
    ),
    "a lost row": (
        lambda one: one.sql("DELETE FROM layer WHERE origin='packed'"),
        "is a directory that no row tells of",
        False,
    ),
    "a name of nothing": (
        lambda one: one.sql("DELETE FROM known_image"),
        "which is not there",
        False,
    ),
    "a lost manifest": (
        lambda one: one.sql("UPDATE known_image SET manifest=?", "sha256:" + "0" * 64),
        "has lost the manifest",
        False,
    ),
    "a row of nonsense": (
        lambda one: one.sql("INSERT INTO layer(diff_id, origin) VALUES('../../etc', 'packed')"),
        "has a row that makes no sense",
        False,
    ),
    "a damaged database": (
        lambda one: (one.top / "state.db").write_bytes(b"garbage" * 5000),
        "is damaged",
        False,
    ),
    "leftovers": (
        lambda one: (one.top / "tmp/1-x").mkdir(),
        "is left of a command that died",
        False,
    ),
}


@pytest.mark.parametrize("full", [False, True])
def test_a_sound_store_has_no_findings(filled: Filled, full: bool) -> None:
    assert filled.fsck(full=full) == ()


@pytest.mark.parametrize("case", DAMAGE)
def test_damage_is_found_and_nothing_is_changed(filled: Filled, case: str) -> None:
    damage, message, full = DAMAGE[case]
    damage(filled)
    before = snapshot_of(filled.top)
    found = filled.fsck(full=full)
    assert any(message in finding.problem for finding in found), found
    assert not any(finding.repaired for finding in found)
    assert snapshot_of(filled.top) == before
    if full:
        assert filled.fsck() == ()


@pytest.mark.parametrize("case", DAMAGE)
def test_after_a_repair_the_store_is_sound_and_can_be_filled_again(
    filled: Filled, case: str
) -> None:
    DAMAGE[case][0](filled)
    assert all(finding.repaired for finding in filled.fsck(full=True, repair=True))
    assert filled.fsck(full=True) == ()
    again = Filled(filled.top) if case != "a damaged database" else filled
    assert again.fsck(full=True) == ()


def test_a_foreign_layer_is_made_again_from_its_blob(filled: Filled) -> None:
    (filled.layer(filled.foreign) / "fs/etc/foreign").write_text("2")
    filled.fsck(full=True, repair=True)
    assert (filled.layer(filled.foreign) / "fs/etc/foreign").read_text() == "1"
    with closing(StateRoot.open(str(filled.top))) as root:
        assert ImageStore(root).find("app").config_digest == filled.image


def test_a_new_database_knows_layers_and_images_again(filled: Filled) -> None:
    (filled.top / "state.db").write_bytes(b"garbage" * 5000)
    filled.fsck(repair=True)
    with closing(StateRoot.open(str(filled.top))) as root:
        assert [image.digest for image in listed(ImageStore(root))] == [filled.image]
        store = OverlayStore(root)
        assert store.is_packed(filled.packed)
        assert not store.is_packed(filled.foreign)
        assert store.has((filled.packed, filled.foreign))


def test_what_a_killed_pull_leaves_is_no_damage(filled: Filled) -> None:
    def forget(one: Filled) -> None:
        one.sql("DELETE FROM blob_form")
        one.path(one.blob).unlink()

    forget(filled)
    (lost,) = filled.fsck()
    assert lost.is_damage  # an image needs it
    filled.sql("DELETE FROM image")
    filled.sql("DELETE FROM known_image")
    (left,) = filled.fsck()
    assert not left.is_damage
    assert left.what == f"layers/{filled.foreign.hex}"
    with closing(StateRoot.open(str(filled.top))) as pulling:
        assert OverlayStore(pulling).has((filled.foreign,))
        assert filled.fsck() == ()
    filled.fsck(repair=True)
    assert not filled.layer(filled.foreign).exists()
    assert filled.fsck() == ()


@pytest.mark.parametrize("damage", ["", "pybuild", "\0" * 16, None])
def test_a_damaged_format_is_told_and_made_again(filled: Filled, damage: str | None) -> None:
    path = filled.top / "format"
    whole = path.read_bytes()
    path.unlink()
    if damage is None:
        path.mkdir()
    else:
        path.write_text(damage)
    with pytest.raises(StoreError, match="format is damaged") as raised:
        filled.fsck()
    assert raised.value.hint == "pybuild fsck --repair makes a new one"
    with closing(StateRoot.open(str(filled.top), mend=True)) as root:
        assert fsck(root, repair=True) == (Finding("format", "was damaged", repaired=True),)
    assert path.read_bytes() == whole
    assert filled.fsck(full=True) == ()


def test_another_format_is_left_alone(filled: Filled) -> None:
    (filled.top / "format").write_text("pybuild-store 2\n")
    with pytest.raises(StoreError, match="of another format"):
        StateRoot.open(str(filled.top), mend=True)
