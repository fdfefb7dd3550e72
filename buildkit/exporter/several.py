"""Outputs of a build for several platforms.

In: its images, one a platform, which are in the store; an output of the command line. Out: an index
where the output can hold one, a directory a platform where it is files.
"""

from __future__ import annotations

from collections.abc import Sequence

from buildkit.content.store import BlobStore
from buildkit.errors import UsageError
from buildkit.exporter.assemble import Image
from buildkit.exporter.attributes import Output
from buildkit.exporter.destination import STDOUT, OutputError, output_file
from buildkit.exporter.index import add_index, make_index
from buildkit.exporter.layout import open_layout
from buildkit.exporter.oci import NamedImage, NamedIndex, write_oci
from buildkit.exporter.table import (
    Exported,
    Job,
    Stores,
    attached_of,
    directory_of,
    export_directory,
    forms_of,
    how_of,
    remarks_of,
    with_tree,
)
from buildkit.exporter.tar import Trees
from buildkit.images import ImageStore
from buildkit.oci.descriptor import Descriptor
from buildkit.oci.reference import Reference
from buildkit.progress.cancel import Cancel
from buildkit.progress.events import Emit, Event, Note
from buildkit.tree.entry import text
from buildkit.tree.walk import walk
from runtime.typed import assert_never


def export_several(
    output: Output,
    images: Sequence[Image],
    tags: Sequence[Reference],
    stores: Stores,
    blobs: BlobStore,
    emit: Emit,
    cancel: Cancel,
) -> Exported:
    """Write `images` where `output` says. Raises as `table.export`."""
    names = output.names or tuple(tags)
    jobs = [
        Job(
            NamedImage(one.config, one.data, one.digest, names), output, stores, blobs, emit, cancel
        )
        for one in images
    ]
    match output.kind:
        case "local":
            _local(jobs)
        case "tar":
            _tar(jobs)
        case "oci":
            return Exported(output, _oci(jobs))
        case "image" | "registry" | "docker":
            return Exported(output, _image(jobs))
        case "cacheonly":
            pass
        case _:
            assert_never(output.kind)
    return Exported(output)


def _index(jobs: Sequence[Job]) -> NamedIndex:
    output = jobs[0].output
    docker = output.oci_media_types is False
    if docker and (output.annotations or output.annotated):
        raise UsageError("Docker's manifests have no annotations", hint="use OCI's media types")
    return make_index(
        [job.image for job in jobs],
        jobs[0].image.names,
        forms_of(jobs[0]),
        how_of(output, "gzip"),
        every=output.annotations,
        annotated=output.annotated,
        force=output.force_compression,
        docker=docker,
    )


def _image(jobs: Sequence[Job]) -> Descriptor | None:
    """Name the index in the store, and push it where that is wanted."""
    job = jobs[0]
    if job.output.names:
        add_index(_index(jobs), ImageStore(job.stores.root), job.blobs)
        for name in job.output.names:
            job.emit(Note(f"named {name.familiar}"))
    return _pushed(jobs) if job.output.push else None


def _pushed(jobs: Sequence[Job]) -> Descriptor:
    """Push the index. Raises OutputError: the images themselves are fine."""
    # The registry client, 80 ms: only for those who push
    from buildkit.exporter.registry_index import push_index
    from buildkit.registry.client import Access, Registry
    from buildkit.registry.errors import RegistryError

    job = jobs[0]
    index = _index(jobs)
    access = Access(verify=False if job.output.insecure else None)
    try:
        with Registry(job.cancel, access, emit=job.emit) as registry:
            return push_index(
                registry,
                index,
                job.stores.root,
                forms_of(job),
                job.blobs,
                job.emit,
                by_digest=job.output.push_by_digest,
            )
    except RegistryError as error:
        raise OutputError(error.message, hint=error.hint) from error


def _oci(jobs: Sequence[Job]) -> Descriptor:
    job = jobs[0]
    index = _index(jobs)
    attached = next((found for one in jobs if (found := attached_of(one)) is not None), None)
    how = how_of(job.output, "gzip")
    with open_layout(job.output.dest, as_tar=job.output.as_tar, cancel=job.cancel) as layout:
        written = write_oci(
            layout, (), forms_of(job), job.blobs, how, attached=attached, indexes=(index,)
        )
    _tell(job)
    return written[0]


def _local(jobs: Sequence[Job]) -> None:
    split = _is_split(jobs)
    for job in jobs:
        output = job.output._replace(platform_split=split)
        export_directory(job._replace(output=output, emit=_quiet_about(job)))
    _tell(jobs[0])


def _tar(jobs: Sequence[Job]) -> None:
    split = _is_split(jobs)
    with output_file(jobs[0].output.dest, jobs[0].cancel) as sink:
        trees = Trees(sink)
        for job in jobs:
            directory = directory_of(job.image) if split else ""

            def add(fd: int | None, place: str = directory, job: Job = job) -> None:
                trees.add(fd, place, remarks_of(job))

            with_tree(job, add)
        trees.finish()
    _tell(jobs[0])


def _is_split(jobs: Sequence[Job]) -> bool:
    """Say whether each platform has a directory. Raises OutputError for trees that cannot be one.

    Without, no file may be there twice, as with Moby BuildKit: it would be either's by chance.
    """
    if jobs[0].output.platform_split is not False:
        return True
    seen: dict[bytes, str] = {}
    for job in jobs:
        platform = str(job.image.config.platform)

        def look(fd: int | None, platform: str = platform) -> None:
            for entry, _ in () if fd is None else walk(fd):
                if entry.mode >> 12 == _DIRECTORY:
                    continue
                other = seen.setdefault(entry.path, platform)
                if other != platform:
                    raise OutputError(
                        f"cannot overwrite {text(entry.path)} from {other} with {platform}"
                        " when split option is disabled",
                        hint="leave platform-split=false out",
                    )

        with_tree(job, look)
    return False


_DIRECTORY = 0o4


def _quiet_about(job: Job) -> Emit:
    """Return what passes warnings on, since what was written is told once."""

    def emit(event: Event) -> None:
        if not isinstance(event, Note):
            job.emit(event)

    return emit


def _tell(job: Job) -> None:
    if job.output.dest != STDOUT:
        job.emit(Note(f"wrote {job.output.dest}"))
