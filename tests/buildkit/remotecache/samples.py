"""Steps, documents and blobs to put into caches."""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator

from buildkit.oci.descriptor import Descriptor
from buildkit.oci.digest import Digest
from buildkit.oci.media_types import LAYER
from buildkit.remotecache.backend import Blob, Loaded, Make, Merge, Written, written
from buildkit.remotecache.document import CacheDocument, Selection, SharedMount, SharedStep
from buildkit.remotecache.merge import Own, merge

TODAY = "2026-05-01"
CREATED = "2026-04-30T10:00:00Z"


def digest(text: str) -> Digest:
    """Return some digest."""
    return Digest.of(text.encode())


def layer(text: str) -> bytes:
    """Return a layer with one file."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        info = tarfile.TarInfo("file")
        info.size = len(text)
        tar.addfile(info, io.BytesIO(text.encode()))
    return out.getvalue()


def step(name: str, text: str = "", *, used: str = TODAY, document: str = "") -> SharedStep:
    """Return the step `name`, which gave a layer with `text`."""
    return SharedStep(
        document=document or json.dumps({"version": 1, "op": {"name": name}}),
        parent="",
        diff_id=Digest.of(layer(text or name)),
        created=CREATED,
        made=1_700_000_000,
        took=1234,
        used=used,
        selections=(Selection(digest("chain"), "spec", digest("selected")),),
    )


def mount(name: str, text: str = "", *, used: str = TODAY) -> SharedMount:
    """Return a cache mount that holds `text`."""
    return SharedMount(name, "", 0o755, 0, 0, Digest.of(layer(text or name)), used)


def described(text: str) -> Descriptor:
    """Return the descriptor of a layer with `text`, uncompressed."""
    data = layer(text)
    return Descriptor(LAYER, Digest.of(data), len(data))


def blob(text: str) -> Make:
    """Return what makes the blob of a layer with `text`."""
    data = layer(text)

    def opened(offset: int) -> Iterator[bytes]:
        yield data[offset:]

    return lambda: Blob(Digest.of(data), len(data), opened, text)


def own(*names: str, used: str = TODAY) -> Own:
    """Return what a build has that did the steps `names`."""
    return Own(
        steps=tuple(step(name, used=used) for name in names),
        mounts=(),
        layers={Digest.of(layer(name)): described(name) for name in names},
    )


def loaded(content: Own) -> Loaded:
    """Return a cache that lies somewhere."""
    document = CacheDocument.of(content.steps, content.mounts)
    text = hashlib.sha256(document.encode()).hexdigest()
    return Loaded(Digest.parse(f"sha256:{text}"), document, dict(content.layers))


def merging(content: Own, *, reset: bool = False) -> Merge:
    """Return what an exporter gives to a `CacheWriter`."""

    def merged(there: Loaded | None) -> Written | None:
        found = merge(content, there, TODAY, reset=reset)
        return None if found is None else written(found.document, found.layers)

    return merged
