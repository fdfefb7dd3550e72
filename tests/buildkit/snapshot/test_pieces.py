"""A tar in pieces: any range of it, what an earlier one gives, and an index that is not whole."""

import hashlib
import os
import stat
from collections.abc import Iterable
from pathlib import Path

import pytest

from buildkit.errors import StoreError
from buildkit.snapshot import rootdir
from buildkit.snapshot.layout import PIECES
from buildkit.snapshot.piece_writer import Written, write_pieces
from buildkit.snapshot.pieces import Item, Pieces, pack_pieces, read_index


def items_of(contents: Iterable[bytes]) -> list[Item]:
    return [
        Item(
            b"f%04d" % number, stat.S_IFREG | 0o644, 0, 0, len(data), 10**9, b"", b"",
            hashlib.sha256(data).hexdigest(),
        )
        for number, data in enumerate(contents)
    ]  # fmt: skip


def written(directory: Path, contents: list[bytes], earlier: Path | None = None) -> Written:
    directory.mkdir()
    return write_pieces(
        f"{directory}/{PIECES}",
        items_of(contents),
        lambda number: (contents[number],),
        seed=1,
        root=rootdir.PLAIN,
        earlier=None if earlier is None else str(earlier),
    )


def bytes_of(directory: Path) -> bytes:
    parts: list[bytes] = []
    pack_pieces(str(directory), parts.append)
    return b"".join(parts)


def pieces_of(directory: Path) -> set[str]:
    return set(os.listdir(directory / PIECES)) - {"index"}


def test_any_range_of_the_tar_is_found(tmp_path: Path) -> None:
    contents = [b"x" * 700] * 9
    written(tmp_path / "0", contents)
    for number in range(1, 4):
        contents[number * 2] = b"y" * 5
        written(tmp_path / f"{number}", contents, tmp_path / f"{number - 1}")
    whole = bytes_of(tmp_path / "3")
    index = read_index(f"{tmp_path}/3/{PIECES}")
    assert len(index.extents) == 8
    with Pieces(f"{tmp_path}/3/{PIECES}", index.extents) as pieces:
        assert pieces.size == len(whole)
        for start in range(0, len(whole) + 1, 256):
            for end in (start, start + 1, start + 512, start + 5000, len(whole)):
                last = min(end, len(whole))
                assert b"".join(pieces.blocks(start, last)) == whole[start:last]


def test_of_many_pieces_one_is_made_again(tmp_path: Path) -> None:
    contents = [b"%d" % number for number in range(80)]
    written(tmp_path / "0", contents)
    counts = []
    for number in range(1, 70):
        contents[number] = b"new %d" % number
        found = written(tmp_path / f"{number}", contents, tmp_path / f"{number - 1}")
        counts.append(len(pieces_of(tmp_path / f"{number}")))
        alone = written(tmp_path / f"{number} alone", contents)
        assert found == alone
    assert max(counts) == 64
    assert counts[-1] < 10


def test_a_layer_with_nothing_in_common_has_no_pieces_of_it(tmp_path: Path) -> None:
    written(tmp_path / "one", [b"1", b"2"])
    written(tmp_path / "two", [b"3", b"4"], tmp_path / "one")
    assert pieces_of(tmp_path / "two") == {"0"}


def test_what_is_gone_or_short_is_not_taken(tmp_path: Path) -> None:
    contents = [b"1" * 3000, b"2" * 3000]
    written(tmp_path / "one", contents)
    contents[0] = b"new"
    wanted = written(tmp_path / "wanted", contents)
    piece = tmp_path / "one" / PIECES / "0"
    os.truncate(piece, 5000)
    assert written(tmp_path / "two", contents, tmp_path / "one") == wanted
    piece.unlink()
    assert written(tmp_path / "three", contents, tmp_path / "one") == wanted
    assert written(tmp_path / "four", contents, tmp_path / "none") == wanted


def test_what_of_a_layer_is_lost_is_told_by_name(tmp_path: Path) -> None:
    written(tmp_path / "one", [b"1" * 3000])
    piece = tmp_path / "one" / PIECES / "0"
    os.truncate(piece, 2000)
    for what in ("is shorter than it was", "is not there any more"):
        with pytest.raises(StoreError, match=f"^{piece} {what}$") as caught:
            bytes_of(tmp_path / "one")
        assert "fsck --repair" in caught.value.hint
        piece.unlink(missing_ok=True)


@pytest.mark.parametrize("damage", [b"", b"pybuild pieces 2\n", b"x"])
def test_an_index_that_is_not_whole_is_told(damage: bytes, tmp_path: Path) -> None:
    written(tmp_path / "one", [b"1"])
    path = tmp_path / "one" / PIECES / "index"
    path.write_bytes(damage + path.read_bytes()[len(damage) : -1])
    with pytest.raises(StoreError, match="is damaged"):
        read_index(str(path.parent))
