"""The document of a shared cache: what was done, by key, and which blob holds what came of it.

In and out: a `CacheDocument`, and its canonical JSON (sorted keys, compact, ASCII), which is the
config blob of a cache's manifest or stands in the config of an image. Layers are named by diff ID,
in the order of the manifest's. A key is not written but made from its key document, so none can
be false; that a layer is what the step gave is the word of whoever wrote the cache.

Version 1: {"version", "layers": [diff ID], "mounts": [{"id", "content", "mode", "uid", "gid",
"tar", "used"}], "steps": [{"document", "parent", "layer", "content", "created", "made", "took",
"used", "selections": [[chain ID, what, digest]]}]}; `made` in seconds since the epoch, `took` in
milliseconds, `used` a day; `layer` and `tar` are positions in `layers`; a step's `content` is a
digest of all in its layer but times.
Guarantees S20 (what is read is checked) and S26 (what holds a mark of a secret never gets here).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from buildkit.cache.key import CacheKey, cache_key
from buildkit.cache.store import CachedStep
from buildkit.oci.digest import Digest
from buildkit.oci.fields import DocumentError, Fields, parse_digest
from runtime.values import NamedTuple

VERSION = 1
CONFIG_TYPE = "application/vnd.pybuild.cache.config.v1+json"
"""The media type of the config blob of a cache's manifest."""

IMAGE_MEMBER = "pybuild.cache.v1"
"""The member of an image's config that holds the document of an inline cache."""

_CREATED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z")
_DAY = re.compile(r"\d{4}-\d\d-\d\d|")


class Selection(NamedTuple):
    """What was selected from the snapshot `chain`: `spec` says what, see `ops.remembered`."""

    chain: Digest
    spec: str
    digest: Digest


class SharedStep(NamedTuple):
    """A step that was done. `used`: the day on which a build last had it, empty for none.

    `content`: what `SnapshotStore.timeless` gives for the layer, empty where that is not known.
    """

    document: str
    parent: str
    diff_id: Digest
    created: str
    made: int = 0
    took: int = 0
    used: str = ""
    content: str = ""
    selections: tuple[Selection, ...] = ()

    @property
    def key(self) -> CacheKey:
        """The cache key, by the key document."""
        return cache_key(self.document)

    def cached(self) -> CachedStep:
        """Return the record that a local cache would have of it."""
        return CachedStep(
            key=self.key,
            document=self.document,
            parent=self.parent,
            diff_id=self.diff_id,
            fingerprint=None,
            created=self.created,
            seconds=self.took / 1000,
            made=float(self.made),
        )


class SharedMount(NamedTuple):
    """The content of a cache mount, a tar; what names its directory stands in `CacheMount`."""

    id: str
    content: str
    mode: int
    uid: int
    gid: int
    diff_id: Digest
    used: str = ""

    @property
    def name(self) -> tuple[str, str, int, int, int]:
        """What tells it from other mounts."""
        return self[:5]


class CacheDocument(NamedTuple):
    """All of it; `layers` in the order of the manifest's, tars of mounts among them."""

    layers: tuple[Digest, ...] = ()
    steps: tuple[SharedStep, ...] = ()
    mounts: tuple[SharedMount, ...] = ()

    @classmethod
    def of(cls, steps: tuple[SharedStep, ...], mounts: tuple[SharedMount, ...]) -> CacheDocument:
        """Return the document of `steps` and `mounts`, in the one order that equal ones have."""
        steps = tuple(sorted(steps, key=lambda step: (step.key, step.diff_id)))
        mounts = tuple(sorted(mounts))
        layers = sorted({step.diff_id for step in steps})
        tars = sorted({mount.diff_id for mount in mounts}.difference(layers))
        return cls((*layers, *tars), steps, mounts)

    def encode(self) -> bytes:
        """Return the JSON."""
        return encoded(self.members())

    def members(self) -> dict[str, object]:
        """Return the JSON object."""
        place = {diff_id: number for number, diff_id in enumerate(self.layers)}
        return {
            "version": VERSION,
            "layers": list(self.layers),
            "steps": [_step_members(step, place) for step in self.steps],
            "mounts": [_mount_members(mount, place) for mount in self.mounts],
        }

    @classmethod
    def parse(cls, data: bytes, name: str) -> CacheDocument:
        """Return the document that `data` holds. Raises DocumentError."""
        return cls.read(Fields.parse(data, name))

    @classmethod
    def read(cls, fields: Fields) -> CacheDocument:
        """Return the document in a JSON object. Raises DocumentError."""
        version = fields.integer("version")
        if version != VERSION:
            raise DocumentError(f"{fields.path}.version: {version}, this pybuild reads {VERSION}")
        layers = fields.digests("layers")
        return cls(
            layers=layers,
            steps=tuple(_step(one, layers) for one in fields.objects("steps")),
            mounts=tuple(_mount(one, layers) for one in fields.objects("mounts")),
        )


def encoded(members: Mapping[str, object]) -> bytes:
    """Return canonical JSON."""
    text = json.dumps(members, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return text.encode("ascii")


def _step_members(step: SharedStep, place: Mapping[Digest, int]) -> dict[str, object]:
    members: dict[str, object] = {
        "document": step.document,
        "parent": step.parent,
        "layer": place[step.diff_id],
        "created": step.created,
        "made": step.made,
        "took": step.took,
        "used": step.used,
        "content": step.content,
        "selections": [list(one) for one in step.selections],
    }
    return {key: value for key, value in members.items() if value or key == "layer"}


def _mount_members(mount: SharedMount, place: Mapping[Digest, int]) -> dict[str, object]:
    members = mount._asdict()
    del members["diff_id"]
    return {**members, "tar": place[mount.diff_id]}


def _step(fields: Fields, layers: tuple[Digest, ...]) -> SharedStep:
    document = fields.text("document")
    parent = fields.text("parent", "")
    created = fields.text("created", "")
    if not document.isascii():
        raise DocumentError(f"{fields.path}.document: not ASCII")
    content = fields.text("content", "")
    for name, value in (("parent", parent), ("content", content)):
        if value:
            parse_digest(value, f"{fields.path}.{name}")
    if not _CREATED.fullmatch(created):
        raise DocumentError(f"{fields.path}.created: not a time")
    return SharedStep(
        document=document,
        parent=parent,
        diff_id=_layer(fields, "layer", layers),
        created=created,
        made=fields.integer("made", 0),
        took=fields.integer("took", 0),
        used=_day(fields),
        content=content,
        selections=_selections(fields),
    )


def _mount(fields: Fields, layers: tuple[Digest, ...]) -> SharedMount:
    content = fields.text("content")
    if content:
        parse_digest(content, f"{fields.path}.content")
    return SharedMount(
        id=fields.text("id"),
        content=content,
        mode=_within(fields, "mode", 0o7777),
        uid=_within(fields, "uid", (1 << 32) - 2),
        gid=_within(fields, "gid", (1 << 32) - 2),
        diff_id=_layer(fields, "tar", layers),
        used=_day(fields),
    )


def _layer(fields: Fields, key: str, layers: tuple[Digest, ...]) -> Digest:
    return layers[_within(fields, key, len(layers) - 1)]


def _within(fields: Fields, key: str, limit: int) -> int:
    value = fields.size(key)
    if value > limit:
        raise DocumentError(f"{fields.path}.{key}: {value} is above {limit}")
    return value


def _day(fields: Fields) -> str:
    text = fields.text("used", "")
    if not _DAY.fullmatch(text):
        raise DocumentError(f"{fields.path}.used: not a day")
    return text


def _selections(fields: Fields) -> tuple[Selection, ...]:
    rows = fields.data.get("selections") or []
    path = f"{fields.path}.selections"
    found = []
    for row in rows if isinstance(rows, list) else (rows,):
        if not (isinstance(row, list) and len(row) == 3 and all(isinstance(x, str) for x in row)):
            raise DocumentError(f"{path}: not three texts")
        chain, spec, digest = row
        found.append(Selection(parse_digest(chain, path), spec, parse_digest(digest, path)))
    return tuple(found)
