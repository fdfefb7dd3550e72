"""The layers of an image as they lie in the store, each with the instruction that made it.

In: an image's config. Out: `Stacked` layers, bottom-most first. The history and the layers are
matched in order, as image-spec config.md ("history") has it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from buildkit.oci.config import ImageConfig
from buildkit.oci.digest import Digest
from buildkit.snapshot.layers import Layers
from buildkit.snapshot.layout import TREE
from buildkit.state.root import StateRoot
from runtime.values import NamedTuple

_NO_STEP = re.compile(r"^/bin/sh -c #\(nop\)\s+")
_SHELL = re.compile(r"^(?:RUN )?(?:\|\d+ .*?)?/bin/sh -c ")


class Stacked(NamedTuple):
    """A layer: `number` from 1 at the bottom, `fs` its directory, sizes in bytes.

    The directory of a layer that is kept as its tar is there when a view of it was opened, or after
    `need_trees`.

    `size` is that of the tar; `compressed` of its smallest blob that is known, None where it was
    never compressed. `made_by`: the instruction, empty where the history does not tell.
    """

    number: int
    diff_id: str
    fs: str
    size: int
    compressed: int | None
    made_by: str


def stacked(root: StateRoot, config: ImageConfig) -> tuple[Stacked, ...]:
    """Return the layers of an image of the store."""
    layers = Layers(root)
    made_by = [item.created_by for item in config.history if not item.empty_layer]
    made_by += [""] * (len(config.diff_ids) - len(made_by))
    sizes = tuple(_sizes(root, config.diff_ids))
    return tuple(
        Stacked(
            number,
            diff_id,
            f"{layers.directory(diff_id)}/{TREE}",
            size,
            compressed,
            instruction(text),
        )
        for number, (diff_id, (size, compressed), text) in enumerate(
            zip(config.diff_ids, sizes, made_by, strict=False), 1
        )
    )


def need_trees(root: StateRoot, layers: Iterable[Stacked]) -> None:
    """Have the directories of layers made where only the tar is kept. Raises StoreError."""
    known = Layers(root)
    for layer in layers:
        known.fs(Digest.parse(layer.diff_id))


def instruction(created_by: str) -> str:
    """Return an entry of the history as its instruction, on one line."""
    text = _NO_STEP.sub("", created_by.removesuffix("# buildkit"))
    return " ".join(_SHELL.sub("RUN ", text).split())


def _sizes(root: StateRoot, diff_ids: Sequence[Digest]) -> Iterator[tuple[int, int | None]]:
    with root.reading():
        database = root.database()
        for diff_id in diff_ids:
            row = database.execute("SELECT size FROM layer WHERE diff_id=?", (diff_id,)).fetchone()
            blob = database.execute(
                "SELECT min(size) FROM blob_form WHERE diff_id=? AND compression<>'none'",
                (diff_id,),
            ).fetchone()
            yield 0 if row is None else int(row[0]), blob[0]
