"""What registries were seen to have: which image a name meant there, and where blobs lie.

In: references as they were pulled or pushed. Out: the image that a reference (also one by the
digest of an index) meant for a platform, and repositories from which a blob can be mounted. A
row can be lost without harm. Kept in the state root's `store` table, as JSON.
"""

from __future__ import annotations

import json

from buildkit.oci.digest import Digest
from buildkit.oci.reference import Reference
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from buildkit.oci.platforms import Platform
    from buildkit.state.root import StateRoot


_PREFIX = "remote "


class Remembered(NamedTuple):
    """`top`: what the reference pointed to; `image`: the image ID; `blobs`: of its manifest."""

    top: Digest
    image: Digest
    blobs: tuple[Digest, ...]


def remember(
    root: StateRoot, reference: Reference, platform: Platform, remembered: Remembered
) -> None:
    """Note what `reference` means."""
    document = {
        "top": remembered.top,
        "image": remembered.image,
        "blobs": list(remembered.blobs),
    }
    with root.transaction() as database:
        database.execute(
            "INSERT OR REPLACE INTO store VALUES(?, ?)",
            (_key(reference, platform), json.dumps(document)),
        )


def recall(root: StateRoot, reference: Reference, platform: Platform) -> Remembered | None:
    """Return what `reference` meant when it was last asked for, None if it never was."""
    with root.reading():
        row = (
            root.database()
            .execute("SELECT value FROM store WHERE name=?", (_key(reference, platform),))
            .fetchone()
        )
    return None if row is None else _parsed(row[0])


def elsewhere(root: StateRoot, domain: str, wanted: Iterable[Digest]) -> dict[Digest, str]:
    """Return repositories of the registry `domain` that had the blobs `wanted`."""
    missing = set(wanted)
    found: dict[Digest, str] = {}
    start = f"{_PREFIX}{domain}/"
    with root.reading():
        rows = (
            root.database()
            .execute(
                "SELECT name, value FROM store WHERE name>=? AND name<?", (start, start[:-1] + "0")
            )
            .fetchall()
        )
    for name, value in rows:
        row = _parsed(value)
        for digest in missing.intersection(() if row is None else row.blobs):
            found[digest] = Reference.parse(name.removeprefix(_PREFIX).partition(" ")[0]).path
    return found


def _key(reference: Reference, platform: Platform) -> str:
    plain = reference if reference.digest is None else reference._replace(tag="")
    return f"{_PREFIX}{plain} {platform}"


def _parsed(value: str) -> Remembered | None:
    try:
        document = json.loads(value)
        return Remembered(
            Digest.parse(document["top"]),
            Digest.parse(document["image"]),
            tuple(map(Digest.parse, document["blobs"])),
        )
    except (ValueError, KeyError, TypeError):
        return None
