"""Output types by name, and what each does with the image of a build.

In: an image that is in the store, an output of the command line. Out: what was written. A new
output type is a module here and a row in `EXPORTERS`.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol, TypeAlias

from buildkit.attestation.kept import kept
from buildkit.content.store import BlobStore
from buildkit.errors import UsageError
from buildkit.exporter.assemble import Image
from buildkit.exporter.attributes import Output, OutputKind
from buildkit.exporter.destination import STDOUT, OutputError, output_file
from buildkit.exporter.docker import write_docker
from buildkit.exporter.forms import Forms
from buildkit.exporter.layout import open_layout
from buildkit.exporter.local import export_local
from buildkit.exporter.oci import Attached, NamedImage, write_oci
from buildkit.exporter.tar import export_tar
from buildkit.images import ImageStore
from buildkit.oci.descriptor import Descriptor
from buildkit.oci.reference import Reference
from buildkit.progress.cancel import Cancel
from buildkit.progress.events import Emit, Note, Warned
from buildkit.snapshot.compression import Compressor, compressor
from buildkit.snapshot.snapshot import Snapshot
from buildkit.snapshot.store import SnapshotStore
from buildkit.state.root import StateRoot
from runtime.values import NamedTuple


class Stores(Protocol):
    """The stores that an export reads."""

    @property
    def root(self) -> StateRoot:
        """The state root."""
        ...

    @property
    def snapshots(self) -> SnapshotStore:
        """Layers and trees."""
        ...


class Exported(NamedTuple):
    """What became of one output; `manifest` where there is one."""

    output: Output
    manifest: Descriptor | None = None


class _Job(NamedTuple):
    image: NamedImage
    output: Output
    stores: Stores
    blobs: BlobStore
    emit: Emit
    cancel: Cancel


def export(
    output: Output,
    image: Image,
    tags: Sequence[Reference],
    stores: Stores,
    blobs: BlobStore,
    emit: Emit,
    cancel: Cancel,
) -> Exported:
    """Write `image`, which is in the store, where `output` says.

    `tags` are the names of the whole build; an output that has names of its own uses those.
    Raises OutputError for what cannot be written, UsageError for what cannot be done.
    """
    named = NamedImage(image.config, image.data, image.digest, output.names or tuple(tags))
    written = EXPORTERS[output.kind](_Job(named, output, stores, blobs, emit, cancel))
    return Exported(output, written)


def _image(job: _Job) -> Descriptor | None:
    """Name the image in the store; it is there already."""
    if job.output.names:
        ImageStore(job.stores.root).add(job.image.data, job.output.names)
        for name in job.output.names:
            job.emit(Note(f"named {name.familiar}"))
    return _pushed(job) if job.output.push else None


def _pushed(job: _Job) -> Descriptor:
    """Push the image. Raises OutputError: the image itself is fine."""
    # The registry client, 80 ms: only for those who push
    from buildkit.exporter.registry import Manner, push_image
    from buildkit.registry.client import Access, Registry
    from buildkit.registry.errors import RegistryError

    output = job.output
    manner = Manner(
        how=_how(output, "gzip"),
        force=output.force_compression,
        docker=None if output.oci_media_types is None else not output.oci_media_types,
        by_digest=output.push_by_digest,
        annotations=output.annotations,
    )
    access = Access(verify=False if output.insecure else None)
    try:
        with Registry(job.cancel, access) as registry:
            return push_image(
                registry, job.image, manner, job.stores.root, _forms(job), job.blobs, job.emit
            )
    except RegistryError as error:
        raise OutputError(error.message, hint=error.hint) from error


def _oci(job: _Job) -> Descriptor | None:
    output = job.output
    with open_layout(output.dest, as_tar=output.as_tar) as layout:
        (written,) = write_oci(
            layout,
            (job.image,),
            _forms(job),
            job.blobs,
            _how(output, "gzip"),
            force=output.force_compression,
            annotations=output.annotations,
            attached=_attached(job),
        )
    _tell(job)
    return written


def _attached(job: _Job) -> Attached | None:
    """Return what gives the artifacts about an image, None where there are none."""
    if not kept(job.stores.root, job.image.digest):
        return None
    from buildkit.exporter.attached import artifacts_of  # for few images

    return partial(artifacts_of, job.stores.root, job.blobs)


def _docker(job: _Job) -> Descriptor | None:
    output = job.output
    if not output.dest:
        return _image(job)
    if output.annotations:
        raise UsageError("a docker archive has no place for annotations", hint="use type=oci")
    with open_layout(output.dest, as_tar=True) as layout:
        write_docker(
            layout, (job.image,), _forms(job), _how(output, "none"), force=output.force_compression
        )
    _tell(job)
    return None


def _local(job: _Job) -> Descriptor | None:
    dest = job.output.dest
    if job.output.platform_split:
        dest = os.path.join(dest, str(job.image.config.platform).replace("/", "_"))
        os.makedirs(job.output.dest, exist_ok=True)
    _with_tree(job, lambda fd: export_local(fd, dest, lambda message: job.emit(Warned(message))))
    if files := _remarks(job):
        from buildkit.exporter.attached import write_files  # for this attribute only

        write_files(dest, files)
    _tell(job)
    return None


def _tar(job: _Job) -> Descriptor | None:
    with output_file(job.output.dest) as sink:
        _with_tree(job, lambda fd: export_tar(fd, sink, _remarks(job)))
    _tell(job)
    return None


def _remarks(job: _Job) -> Mapping[str, bytes]:
    """Return the attestations that are to lie beside the files, by name."""
    prefix = job.output.attestation_prefix
    if prefix is None:
        return {}
    from buildkit.exporter.attached import files_of  # for this attribute only

    return files_of(job.stores.root, job.blobs, job.image.digest, prefix)


def _nothing(_job: _Job) -> Descriptor | None:
    return None


Exporter: TypeAlias = Callable[[_Job], Descriptor | None]

EXPORTERS: Mapping[OutputKind, Exporter] = {
    "image": _image,
    "registry": _image,
    "oci": _oci,
    "docker": _docker,
    "local": _local,
    "tar": _tar,
    "cacheonly": _nothing,
}


def _with_tree(job: _Job, use: Callable[[int | None], None]) -> None:
    """Call `use` with a descriptor of the image's tree, None when it has no layers.

    Raises StoreError when a layer is not what it was (R2): the merged tree has no digest of its
    own that could be held against it.
    """
    snapshot = Snapshot.of(job.image.config.diff_ids)
    if snapshot is None:
        use(None)
        return
    job.stores.snapshots.has(snapshot.diff_ids)
    for diff_id in snapshot.diff_ids:
        job.cancel.check()
        # The blob of a foreign layer says nothing of the directory that is shown; fsck --full does.
        if job.stores.snapshots.is_packed(diff_id):
            job.stores.snapshots.pack(diff_id, _discard)
    with job.stores.snapshots.view(snapshot) as fd:
        use(fd)


def _discard(_data: bytes) -> None:
    """Take what is hashed only."""


def _forms(job: _Job) -> Forms:
    return Forms(job.stores.root, job.stores.snapshots, job.blobs)


def _how(output: Output, usual: str) -> Compressor:
    compression = output.compression or ("gzip" if usual == "gzip" else "none")
    return compressor(compression, output.level)


def _tell(job: _Job) -> None:
    if job.output.dest != STDOUT:
        job.emit(Note(f"wrote {job.output.dest}"))
