"""Output types by name, and what each does with the image of a build.

In: an image that is in the store, an output of the command line. Out: what was written. A new
output type is a module here and a row in `EXPORTERS`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from buildkit.attestation.kept import kept
from buildkit.content.store import BlobStore
from buildkit.errors import UsageError
from buildkit.exporter.assemble import Image
from buildkit.exporter.attributes import Output, OutputKind
from buildkit.exporter.destination import STDOUT, OutputError, output_file
from buildkit.exporter.forms import Forms
from buildkit.exporter.oci import Attached, NamedImage, write_oci
from buildkit.images import ImageStore
from buildkit.oci.descriptor import Descriptor
from buildkit.oci.reference import Reference
from buildkit.progress.cancel import Cancel
from buildkit.progress.events import Emit, Note, Warned
from buildkit.snapshot.compression import Compressor, compressor
from buildkit.snapshot.snapshot import Snapshot
from buildkit.snapshot.store import SnapshotStore
from buildkit.state.root import StateRoot
from runtime.typed import Protocol
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias


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


class Job(NamedTuple):
    """An image and where it is to go."""

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
    written = EXPORTERS[output.kind](Job(named, output, stores, blobs, emit, cancel))
    return Exported(output, written)


def _image(job: Job) -> Descriptor | None:
    """Name the image in the store; it is there already."""
    if job.output.names and job.output.store:
        ImageStore(job.stores.root).add(job.image.data, job.output.names)
        for name in job.output.names:
            job.emit(Note(f"named {name.familiar}"))
    return _pushed(job) if job.output.push else None


def _pushed(job: Job) -> Descriptor:
    """Push the image. Raises OutputError: the image itself is fine."""
    # The registry client, 80 ms: only for those who push
    from buildkit.exporter.registry import Manner, push_image
    from buildkit.registry.client import Access, Registry
    from buildkit.registry.errors import RegistryError

    output = job.output
    manner = Manner(
        how=how_of(output, "gzip"),
        force=output.force_compression,
        docker=None if output.oci_media_types is None else not output.oci_media_types,
        by_digest=output.push_by_digest,
        annotations=output.annotations,
    )
    access = Access(verify=False if output.insecure else None)
    try:
        with Registry(job.cancel, access, emit=job.emit) as registry:
            return push_image(
                registry, job.image, manner, job.stores.root, forms_of(job), job.blobs, job.emit
            )
    except RegistryError as error:
        raise OutputError(error.message, hint=error.hint) from error


def _oci(job: Job) -> Descriptor | None:
    from buildkit.exporter.layout import open_layout  # each for its own output, as below

    output = job.output
    with open_layout(output.dest, as_tar=output.as_tar, cancel=job.cancel) as layout:
        (written,) = write_oci(
            layout,
            (job.image,),
            forms_of(job),
            job.blobs,
            how_of(output, "gzip"),
            force=output.force_compression,
            annotations=output.annotations,
            attached=attached_of(job),
        )
    _tell(job)
    return written


def attached_of(job: Job) -> Attached | None:
    """Return what gives the artifacts about an image, None where there are none."""
    if not kept(job.stores.root, job.image.digest):
        return None
    from buildkit.exporter.attached import artifacts_of  # for few images

    return partial(artifacts_of, job.stores.root, job.blobs)


def _docker(job: Job) -> Descriptor | None:
    output = job.output
    if not output.dest:
        return _image(job)
    if output.annotations:
        raise UsageError("a docker archive has no place for annotations", hint="use type=oci")
    from buildkit.exporter.docker import write_docker
    from buildkit.exporter.layout import open_layout

    with open_layout(output.dest, as_tar=True, cancel=job.cancel) as layout:
        write_docker(
            layout,
            (job.image,),
            forms_of(job),
            how_of(output, "none"),
            force=output.force_compression,
        )
    _tell(job)
    return None


def export_directory(job: Job) -> Descriptor | None:
    """Write the image's files to a directory of the user's."""
    from buildkit.exporter.local import export_local

    dest = job.output.dest
    if job.output.platform_split:
        dest = os.path.join(dest, directory_of(job.image))
    with_tree(job, lambda fd: export_local(fd, dest, lambda message: job.emit(Warned(message))))
    if files := remarks_of(job):
        from buildkit.exporter.attached import write_files  # for this attribute only

        write_files(dest, files)
    _tell(job)
    return None


def _tar(job: Job) -> Descriptor | None:
    from buildkit.exporter.tar import Trees, export_tar

    with output_file(job.output.dest, job.cancel) as sink:
        if job.output.platform_split:
            trees = Trees(sink)
            with_tree(job, lambda fd: trees.add(fd, directory_of(job.image), remarks_of(job)))
            trees.finish()
        else:
            with_tree(job, lambda fd: export_tar(fd, sink, remarks_of(job)))
    _tell(job)
    return None


def remarks_of(job: Job) -> Mapping[str, bytes]:
    """Return the attestations that are to lie beside the files, by name."""
    prefix = job.output.attestation_prefix
    if prefix is None:
        return {}
    from buildkit.exporter.attached import files_of  # for this attribute only

    return files_of(job.stores.root, job.blobs, job.image.digest, prefix)


def directory_of(image: NamedImage) -> str:
    """Return the directory that holds the files for the image's platform beside others'."""
    return str(image.config.platform).replace("/", "_")


def _nothing(_job: Job) -> Descriptor | None:
    return None


Exporter: TypeAlias = Callable[[Job], Descriptor | None]

EXPORTERS: Mapping[OutputKind, Exporter] = {
    "image": _image,
    "registry": _image,
    "oci": _oci,
    "docker": _docker,
    "local": export_directory,
    "tar": _tar,
    "cacheonly": _nothing,
}


def with_tree(job: Job, use: Callable[[int | None], None]) -> None:
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


def forms_of(job: Job) -> Forms:
    """Return the forms of layers in the job's store."""
    return Forms(job.stores.root, job.stores.snapshots, job.blobs, job.cancel.check)


def how_of(output: Output, usual: str) -> Compressor:
    """Return how to compress layers where nothing is said of it: as `usual`."""
    compression = output.compression or ("gzip" if usual == "gzip" else "none")
    return compressor(compression, output.level)


def _tell(job: Job) -> None:
    if job.output.dest != STDOUT:
        job.emit(Note(f"wrote {job.output.dest}"))
