"""Taking images out of archives and layout directories into the store.

In: the parts of an archive. Out: images in the store, layers unpacked, everything verified by
its digest on the way. An OCI layout goes before docker's `manifest.json` where an archive is both:
it has the images' own manifests. Names are given last (docs/security.md, R1).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence

from buildkit.archive.attestation_manifests import named_in
from buildkit.archive.documents import image_manifest, parse_docker
from buildkit.archive.members import Members, read_whole
from buildkit.archive.take import LayerSource, Taker
from buildkit.errors import ImageError
from buildkit.exporter.attestation_manifests import entries_of, is_about
from buildkit.exporter.workers import in_parallel
from buildkit.oci.config import ImageConfig
from buildkit.oci.descriptor import Descriptor
from buildkit.oci.digest import Digest
from buildkit.oci.fields import MAX_DOCUMENT
from buildkit.oci.index import REF_NAME, Index, is_attestation
from buildkit.oci.manifest import Manifest
from buildkit.oci.media_types import CONFIGS, INDEXES, MANIFESTS
from buildkit.oci.platforms import Platform
from buildkit.oci.reference import Reference, name_to_give
from runtime.values import NamedTuple

_NAME = "io.containerd.image.name"
_BARE_TAG = re.compile(r"latest|v?[0-9][A-Za-z0-9_.-]*")
_DEPTH = 4
"""Indexes in indexes; one within another occurs."""


class Loaded(NamedTuple):
    """An image whose layers are in the store: config blob, names found, original manifest.

    Of an index that comes in whole, `index_blob` is its blob and `parts` are its images; the rest
    is of the one for this machine, or else of the first.
    """

    config: ImageConfig
    data: bytes
    digest: Digest
    names: tuple[Reference, ...]
    manifest: Digest | None
    index_blob: bytes = b""
    parts: tuple[Loaded, ...] = ()


def load(members: Members, taker: Taker, platform: Platform | None = None) -> tuple[Loaded, ...]:
    """Take every image there is; `platform`: of each index the one for it, and no other image.

    Raises ImageError when there is none, or one is not whole or for another platform.
    """
    if platform is not None:
        return tuple(_for(one, platform) for one in _loaded(members, taker, platform))
    return _loaded(members, taker, platform)


def _loaded(members: Members, taker: Taker, platform: Platform | None) -> tuple[Loaded, ...]:
    if members.has("index.json") and members.has("oci-layout"):
        found = _top(members)
        if found and platform is not None:
            return _merged(
                _oci(members, entry, taker, platform)._replace(names=_names(entry))
                for entry in found
            )
        if found:
            return _merged(_every(members, entry, taker) for entry in found)
    if members.has("manifest.json"):
        entries = parse_docker(read_whole(members, "manifest.json", MAX_DOCUMENT), "manifest.json")
        return _merged(
            _docker(members, entry.config, entry.tags, entry.layers, taker) for entry in entries
        )
    what = "its index.json names none"
    if not members.has("index.json"):
        what = "neither index.json nor manifest.json is in it"
    raise ImageError(
        f"{members.name} holds no image: {what}",
        hint="what 'pybuild save', 'docker save' and 'skopeo copy' write can be loaded",
    )


def _for(image: Loaded, platform: Platform) -> Loaded:
    if image.config.platform not in platform.choices():
        raise ImageError(f"image {image.digest} is for {image.config.platform}, not for {platform}")
    return image


def take_one(members: Members, wanted: str, platform: Platform, taker: Taker) -> Loaded:
    """Take one image of an OCI layout: `wanted` is a tag, a digest, or empty for the only one."""
    found = _top(members)
    if wanted:
        found = tuple(entry for entry in found if _is_called(entry, wanted))
    digests = {entry.digest for entry in found}
    if len(digests) != 1:
        what = "no image" if not digests else "more than one image"
        called = f" called {wanted!r}" if wanted else ""
        raise ImageError(f"{members.name} holds {what}{called}", hint="name one by tag or digest")
    return _oci(members, found[0], taker, platform)


def _top(members: Members) -> tuple[Descriptor, ...]:
    """Return the images that the layout's index names."""
    data = read_whole(members, "index.json", MAX_DOCUMENT)
    index = Index.parse(data, "index.json")
    return tuple(entry for entry in index.manifests if not is_attestation(entry))


def _is_called(entry: Descriptor, wanted: str) -> bool:
    annotations = dict(entry.annotations)
    names = (annotations.get(REF_NAME, ""), annotations.get(_NAME, ""))
    if wanted == entry.digest or wanted in names:
        return True
    return any(name.endswith(f":{wanted}") for name in names)


def _every(members: Members, entry: Descriptor, taker: Taker) -> Loaded:
    """Take an image, or all images of an index that are there."""
    if entry.media_type not in INDEXES:
        return _oci(members, entry, taker)
    data = _document(members, entry)
    index = Index.parse(data, f"index {entry.digest}")
    here = [one for one in index.manifests if _is_here(members, one)]
    is_nested = any(one.media_type in INDEXES for one in index.manifests)
    if len(here) == 1 and not is_nested and not _said(members, index, here[0]):
        # Whatever it is for, like an image without an index: it is the one that was saved.
        return _oci(members, here[0], taker)._replace(names=_names(entry))
    if not here or (len(here) == 1 and is_nested):
        return _oci(members, entry, taker)
    parts = tuple(_oci(members, one, taker)._replace(names=()) for one in here)
    _keep_attestations(members, index, taker)
    own = index._replace(manifests=tuple(here)).choose(Platform.host())
    first = parts[0 if own is None else here.index(own)]
    return first._replace(names=_names(entry), index_blob=data, parts=parts)


def _keep_attestations(members: Members, index: Index, taker: Taker) -> None:
    """Keep those entries that are about images, with all they name, if that is in the archive."""
    for data, named in _attestations(members, entries_of(index)):
        for one in named:
            taker.keep_part(members, _part(one.digest), one)
        taker.keep(data)


def _said(members: Members, index: Index, image: Descriptor) -> bool:
    """Say whether the archive has an attestation of `index` about `image`, which is kept with it.

    It is about that very manifest, so it stays with the index, as docker keeps it.
    """
    about = [entry for entry in entries_of(index) if is_about(entry, [image.digest])]
    return any(True for _ in _attestations(members, about))


def _attestations(
    members: Members, entries: Sequence[Descriptor]
) -> Iterator[tuple[bytes, tuple[Descriptor, ...]]]:
    """Yield the manifests of attestations, with what they name, that are whole in the archive."""
    for entry in entries:
        if members.has(_part(entry.digest)):
            data = _document(members, entry)
            named = named_in(data, entry)
            if all(members.has(_part(one.digest)) for one in named):
                yield data, named


def _is_here(members: Members, entry: Descriptor) -> bool:
    """Say whether an entry of an index is an image, and all of it in the archive."""
    if is_attestation(entry) or entry.media_type not in MANIFESTS:
        return False
    if not members.has(_part(entry.digest)):
        return False
    data = _document(members, entry)
    if Manifest.parse(data, f"manifest {entry.digest}").config.media_type not in CONFIGS:
        return False  # an artifact
    document = image_manifest(data, f"manifest {entry.digest}")
    return all(members.has(_part(one.digest)) for one in (document.config, *document.layers))


def _oci(
    members: Members, entry: Descriptor, taker: Taker, platform: Platform | None = None
) -> Loaded:
    manifest = _chosen(members, entry, platform or Platform.host(), _DEPTH)
    data = _document(members, manifest)
    document = image_manifest(data, f"manifest {manifest.digest}")
    config_data = _document(members, document.config)
    config = ImageConfig.parse(config_data, f"config {document.config.digest}")
    sources = [
        LayerSource(_part(layer.digest), layer.digest, layer.size) for layer in document.layers
    ]
    _take_layers(members, config, sources, taker)
    taker.keep(config_data)
    stored = taker.keep(data)
    return Loaded(config, config_data, document.config.digest, _names(entry), stored)


def _chosen(members: Members, entry: Descriptor, platform: Platform, depth: int) -> Descriptor:
    """Return the image manifest that `entry` is or, of an index, has for `platform`.

    What is found under a media type must be of it: image_manifest and Index refuse each other's.
    """
    if entry.media_type in MANIFESTS:
        return entry
    if entry.media_type not in INDEXES or depth == 0:
        raise ImageError(f"{members.name}: {entry.media_type!r} is not an image")
    index = Index.parse(_document(members, entry), f"index {entry.digest}")
    chosen = index.choose(platform)
    if chosen is None:
        raise ImageError(f"{members.name} has no image for {platform}", hint=index.hint())
    return _chosen(members, chosen, platform, depth - 1)


def _docker(
    members: Members, config_part: str, tags: Sequence[str], layers: Sequence[str], taker: Taker
) -> Loaded:
    data = read_whole(members, config_part, MAX_DOCUMENT)
    digest = Digest.of(data)
    stated = os.path.basename(config_part).removesuffix(".json")
    if re.fullmatch(r"[0-9a-f]{64}", stated) and stated != digest.hex:
        raise ImageError(f"{config_part} in {members.name} is not what its name says: {digest}")
    config = ImageConfig.parse(data, config_part)
    _take_layers(members, config, [LayerSource(part, None, None) for part in layers], taker)
    taker.keep(data)
    return Loaded(config, data, digest, tuple(_reference(tag) for tag in tags), None)


def _take_layers(
    members: Members, config: ImageConfig, sources: Sequence[LayerSource], taker: Taker
) -> None:
    """Take the layers, several at once; there must be as many as the config says."""
    if len(sources) != len(config.diff_ids):
        raise ImageError(
            f"{members.name} has {len(sources)} layers where the config names"
            f" {len(config.diff_ids)}"
        )
    # One layer may stand in an image twice.
    todo = list(dict(zip(config.diff_ids, sources, strict=True)).items())
    in_parallel(lambda pair, check: taker.take(members, pair[1], pair[0], check), todo)


def _document(members: Members, blob: Descriptor) -> bytes:
    data = read_whole(members, _part(blob.digest), MAX_DOCUMENT)
    if len(data) != blob.size or Digest.of(data) != blob.digest:
        raise ImageError(
            f"{blob.digest} in {members.name} is not what its digest says",
            hint="the archive is damaged; make or fetch it again",
        )
    return data


def _part(digest: Digest) -> str:
    return f"blobs/sha256/{digest.hex}"


def _names(entry: Descriptor) -> tuple[Reference, ...]:
    """Return the name that the annotations give.

    `ref.name` is a whole name from podman and skopeo, a tag alone from others; a tag alone is no
    name.
    """
    annotations = dict(entry.annotations)
    whole = annotations.get(_NAME, "")
    if whole:
        return (_reference(whole),)
    name = annotations.get(REF_NAME, "")
    if not name or _BARE_TAG.fullmatch(name):
        return ()
    return (_reference(name),)


def _reference(text: str) -> Reference:
    try:
        return name_to_give(text)
    except ValueError as error:
        raise ImageError(f"the archive names an image impossibly: {error}") from error


def _merged(images: Iterator[Loaded]) -> tuple[Loaded, ...]:
    """Return the images, those that came several times (once a name) as one."""
    found: dict[tuple[Digest, bytes], Loaded] = {}
    for image in images:
        key = (image.digest, image.index_blob)
        known = found.get(key)
        names = image.names if known is None else (*known.names, *image.names)
        found[key] = image._replace(names=tuple(dict.fromkeys(names)))
    return tuple(found.values())
