"""Forms that are kept as blobs, and forms that are on record only because they are noise."""

import random
from contextlib import closing
from pathlib import Path

import pytest

from buildkit.content.streams import CHUNK
from buildkit.errors import Cancelled, StoreError
from buildkit.exporter.form_rows import FormRows
from buildkit.exporter.forms import Form, Forms
from buildkit.exporter.workers import unchecked
from buildkit.fsck import fsck
from buildkit.oci.digest import Digest
from buildkit.oci.media_types import Compression
from buildkit.progress.cancel import Cancel
from buildkit.snapshot.compression import compressor
from buildkit.state.root import StateRoot
from buildkit.upkeep import Limits, excess
from tests.buildkit.exporter.stock import ZSTD, Stock

NOISE = random.Random(7).randbytes(9 * CHUNK)
TEXT = b"the same again " * (9 * CHUNK // 15)
GZIP = compressor("gzip")


def layer(stock: Stock, content: bytes) -> Digest:
    """Make a layer of one file."""
    active = stock.snapshots.prepare(None)
    Path(active.upper, "data").write_bytes(content)
    return stock.snapshots.commit(active, clamp=1_000_000).diff_id


def made(stock: Stock, diff_id: Digest) -> Form:
    return stock.forms.make(diff_id, GZIP, unchecked, keep=False)


def bytes_of(stock: Stock, form: Form) -> bytes:
    found: list[bytes] = []
    stock.forms.copy(form, found.append)
    return b"".join(found)


@pytest.mark.parametrize("compression", ["gzip", ZSTD])
def test_noise_is_on_record_and_made_again(stock: Stock, compression: Compression) -> None:
    diff_id, how = layer(stock, NOISE), compressor(compression)
    tapped: list[bytes] = []
    form = stock.forms.make(diff_id, how, unchecked, tapped.append, keep=False)

    assert not form.stored
    assert list(stock.blobs) == []
    assert stock.forms.known(diff_id, how, force=False, keep=False) == form
    assert bytes_of(stock, form) == b"".join(tapped)
    assert Digest.of(b"".join(tapped)) == form.digest


def test_who_needs_the_form_to_stay_gets_a_blob(stock: Stock) -> None:
    diff_id = layer(stock, NOISE)
    form = made(stock, diff_id)
    assert stock.forms.known(diff_id, GZIP, force=False) is None
    (kept,) = stock.forms.of((diff_id,), GZIP)
    assert kept == form._replace(stored=True, again=None)
    assert stock.forms.known(diff_id, GZIP, force=False, keep=False) == kept


@pytest.mark.parametrize(
    "content", [TEXT, NOISE[:CHUNK]], ids=["what gets smaller", "what is small"]
)
def test_is_kept(stock: Stock, content: bytes) -> None:
    assert made(stock, layer(stock, content)).stored


def test_what_is_unlike_its_beginning_is_kept_from_the_second_time_on(stock: Stock) -> None:
    diff_id = layer(stock, NOISE + TEXT)
    first = made(stock, diff_id)
    assert not first.stored
    assert stock.forms.known(diff_id, GZIP, force=False, keep=False) is None
    assert made(stock, diff_id) == first._replace(stored=True, again=None)


def test_other_bytes_than_on_record_are_an_error_once(stock: Stock) -> None:
    diff_id = layer(stock, NOISE)
    rows = FormRows(stock.root)
    form = made(stock, diff_id)
    for wrong in ({"digest": Digest.of(b"another")}, {"size": form.size + 1}):
        (row,) = rows.of(diff_id)
        rows.put(diff_id, row._replace(**wrong))
        false = stock.forms.known(diff_id, GZIP, force=False, keep=False)
        assert false is not None
        with pytest.raises(StoreError, match="other bytes than it was"):
            bytes_of(stock, false)
        assert stock.forms.known(diff_id, GZIP, force=False, keep=False) is None
        assert made(stock, diff_id) == form


@pytest.mark.parametrize("mode", ["r+b", "ab"], ids=["changed", "longer"])
def test_a_damaged_layer_is_called_damaged(stock: Stock, mode: str) -> None:
    diff_id = layer(stock, NOISE)
    form = made(stock, diff_id)
    with Path(stock.root.path("layers", diff_id.hex, "fs/data")).open(mode) as file:
        file.write(b"something else" * CHUNK)
    with pytest.raises(StoreError, match=f"{diff_id} is damaged"):
        bytes_of(stock, form)


def test_what_is_on_record_can_become_a_blob(stock: Stock) -> None:
    diff_id = layer(stock, NOISE)
    form = made(stock, diff_id)
    assert not stock.forms.has(diff_id, form.digest)
    assert not stock.forms.restore(diff_id, Digest.of(b"another"))
    assert stock.forms.restore(diff_id, form.digest)
    assert stock.forms.has(diff_id, form.digest)


def test_another_compressor_s_record_is_left_alone(stock: Stock) -> None:
    diff_id = layer(stock, NOISE)
    form = made(stock, diff_id)
    (row,) = FormRows(stock.root).of(diff_id)
    FormRows(stock.root).forget(diff_id, row)
    FormRows(stock.root).put(diff_id, row._replace(compressor="an older one"))
    assert stock.forms.known(diff_id, GZIP, force=False, keep=False) is None
    assert not stock.forms.restore(diff_id, form.digest)


def test_what_is_on_record_takes_no_room_and_is_no_damage(stock: Stock) -> None:
    diff_id = layer(stock, NOISE)
    limits = Limits(max_used=0, min_free=0, reserved=0)
    before = excess(stock.root, limits, 0)
    made(stock, diff_id)
    assert excess(stock.root, limits, 0) == before
    stock.snapshots.sync()
    with closing(StateRoot.open(stock.root.top)) as root:
        assert fsck(root, full=True) == ()


def test_who_cancels_gets_neither_a_form_nor_its_bytes(stock: Stock) -> None:
    diff_id = layer(stock, NOISE)
    form = made(stock, diff_id)
    with Cancel() as cancel:
        forms = Forms(stock.root, stock.snapshots, stock.blobs, cancel.check)
        cancel.set(2)
        with pytest.raises(Cancelled):
            forms.of((diff_id,), GZIP)
        with pytest.raises(Cancelled):
            forms.copy(form, lambda _: None)
    assert list(stock.blobs) == []
