"""A build on one page: Dockerfile and context in, image out.

In: what the user asked for, and what the machine has. Out: the image's ID, under its names in the
local store and in the outputs. Whatever becomes of a build, it leaves a record.
"""

import os
import time
from collections.abc import Mapping

from buildkit.archive.remote import PullPolicy
from buildkit.contexts import BuildContexts, find_dockerfile
from buildkit.definition import Resolve, arguments, check_policy, lowered_with, placed, resolver
from buildkit.errors import BuildError, Cancelled
from buildkit.exporter.assemble import Entry, Image, assemble
from buildkit.exporter.attributes import Output
from buildkit.findings import CHECK_ARG, Told, tell
from buildkit.frontend.lower import Lowered
from buildkit.frontend.options import LowerOptions
from buildkit.oci.digest import Digest
from buildkit.oci.reference import Reference
from buildkit.ops.secrets import SecretSource
from buildkit.ops.table import BuildOps
from buildkit.progress.cancel import Cancel
from buildkit.progress.events import Emit, Note, Warned
from buildkit.records.record import (
    BuildOutcome,
    BuildRecord,
    build_identity,
    new_build_id,
)
from buildkit.snapshot.snapshot import Snapshot
from buildkit.solver.causes import Past
from buildkit.solver.policy import CachePolicy
from buildkit.solver.solve import Result, solve
from buildkit.solver.step import StepLogs
from buildkit.worker import Worker
from grammar.instructions import Dockerfile
from grammar.parser import parse
from grammar.source import Source
from runtime.values import NamedTuple


class BuildRequest(NamedTuple):
    """What the user asked for. `dockerfile` None: the context's; `context_sources`: directories.

    `plain_modes`: files of contexts are 0755 or 0644, as git has them. `locked`: base images are
    those of the lock file. `pull`: when a registry is asked for a base image.
    """

    context: str
    dockerfile: str | None
    tags: tuple[Reference, ...]
    options: LowerOptions
    context_sources: Mapping[str, str]
    policy: CachePolicy
    outputs: tuple[Output, ...]
    secrets: Mapping[str, SecretSource]
    jobs: int
    plain_modes: bool = False
    locked: bool = False
    pull: PullPolicy = "missing"


class BuildResult(NamedTuple):
    """What came out: the image ID and the findings."""

    image: Digest
    warnings: tuple[str, ...]


def build(request: BuildRequest, worker: Worker, emit: Emit, cancel: Cancel) -> BuildResult:
    """Build, name and export. Raises BuildError, with an excerpt of the Dockerfile where it can."""
    path, source = find_dockerfile(request.context, request.dockerfile)
    contexts = BuildContexts(
        worker.root,
        request.context,
        path,
        request.context_sources,
        plain_modes=request.plain_modes,
    )
    record = _begun(request, path, source)
    try:
        dockerfile = parse(source)
        lowered = lowered_with(
            dockerfile, request.options, resolve_for(request, path, worker, emit, cancel)
        )
        check_policy(request.policy, lowered)
        notes = _linted(lowered, dockerfile, request, worker, emit)
        result = _solved(lowered, dockerfile, request, contexts, record, worker, emit, cancel)
        _warn(notes, emit)
        record = record._replace(steps=result.steps)
        if result.error is not None:
            raise result.error
        image = _assembled(lowered, result)
        cancel.check()
        _keep(image, request, worker, emit)
        if request.outputs:
            # Compression and archives: a build for the store needs none of it.
            from buildkit.exporter.table import export

            for output in request.outputs:
                export(output, image, request.tags, worker.stores(), worker.blobs, emit, cancel)
        record = record._replace(image=image.digest)
    except BaseException as error:
        told = placed(error, source)
        _save(worker, record, "cancelled" if isinstance(told, Cancelled) else "failed", str(told))
        if told is error:
            raise
        raise told from error
    finally:
        contexts.save()
        contexts.close()
    _save(worker, record, "done", "")
    return BuildResult(image.digest, lowered.warnings)


def _solved(
    lowered: Lowered,
    dockerfile: Dockerfile,
    request: BuildRequest,
    contexts: BuildContexts,
    record: BuildRecord,
    worker: Worker,
    emit: Emit,
    cancel: Cancel,
) -> Result:
    ops = BuildOps(worker.stores(), contexts, request.secrets, clamp=lowered.epoch)
    try:
        return solve(
            lowered.graph,
            lowered.target,
            ops,
            worker.cache,
            emit,
            jobs=request.jobs,
            cancel=cancel,
            policy=request.policy,
            past=Past(lambda: worker.records.last(record.identity), arguments(dockerfile)),
            logs=StepLogs(worker.root.path("logs"), record.id),
        )
    finally:
        ops.close()
        if ops.connected:
            worker.behind(ops.disconnect)


def _assembled(lowered: Lowered, result: Result) -> Image:
    """Return the image: the base's layers and history, then those of this build."""
    entries = []
    for item in lowered.history:
        ref = None if item.vertex is None else result.refs[item.vertex]
        created = "" if item.vertex is None else result.created.get(item.vertex, "")
        diff_id = ref.diff_ids[-1] if isinstance(ref, Snapshot) else None
        entries.append(
            Entry(
                created_by=item.created_by,
                diff_id=diff_id,
                created=created,
                author=item.author,
                comment=item.comment,
            )
        )
    return assemble(
        container=lowered.config,
        platform=lowered.platform,
        entries=entries,
        base=None if lowered.base is None else lowered.base.config,
        author=lowered.author,
        epoch=lowered.epoch,
    )


def _keep(image: Image, request: BuildRequest, worker: Worker, emit: Emit) -> None:
    """Put the image into the local store, durably, and name it."""
    worker.images.add(image.data, request.tags)
    emit(Note(f"image {image.digest}"))
    for tag in request.tags:
        emit(Note(f"named {tag.familiar}"))


def _linted(
    lowered: Lowered, dockerfile: Dockerfile, request: BuildRequest, worker: Worker, emit: Emit
) -> Told:
    """Return what lint has to say when the steps are done. Raises BuildError if that is to fail."""
    for warning in lowered.warnings:
        emit(Warned(warning))
    override = request.options.build_args.get(CHECK_ARG)
    told = tell(dockerfile, lowered.findings, override, worker.root)
    if told.violated:
        _warn(told, emit)
        raise BuildError(told.violated, hint="'pybuild check' shows the lines that are meant")
    return told


def _warn(told: Told, emit: Emit) -> None:
    number = len(told.lines)
    if number:
        emit(Note(f" {number} warning{'s'[: number > 1]} found ('pybuild check' says more):"))
    for line in told.lines:
        emit(Note(f" - {line}"))


def resolve_for(
    request: BuildRequest,
    path: str | None,
    worker: Worker,
    emit: Emit | None = None,
    cancel: Cancel | None = None,
) -> Resolve:
    """Return what finds base images; `path`: of the Dockerfile that was found."""
    resolve = resolver(worker, request.pull, emit, cancel)
    if not request.locked:
        return resolve
    from buildkit.lock import locked  # for this option only

    return locked(resolve, path, worker.images)


def identity_of(request: BuildRequest, path: str | None) -> str:
    """Return what the records of this and of other builds of the same thing have in common.

    `path`: of the Dockerfile that was found.
    """
    dockerfile = os.path.abspath(path) if path is not None else "-"
    context = os.path.abspath(request.context)
    options = request.options
    return build_identity(dockerfile, context, options.target, str(options.target_platform))


def _begun(request: BuildRequest, path: str | None, source: Source) -> BuildRecord:
    dockerfile = os.path.abspath(path) if path is not None else "-"
    context = os.path.abspath(request.context)
    platform = str(request.options.target_platform)
    return BuildRecord(
        id=new_build_id(),
        identity=identity_of(request, path),
        dockerfile=source.path if path is None else dockerfile,
        context=context,
        target=request.options.target,
        platform=platform,
        started=time.time(),
        ended=0.0,
        outcome="failed",
        contexts=tuple(
            (name, os.path.abspath(path)) for name, path in request.context_sources.items()
        ),
    )


def _save(worker: Worker, record: BuildRecord, outcome: BuildOutcome, message: str) -> None:
    """Keep the record; a disk too full for it does not hide what the build itself has to say."""
    done = record._replace(ended=time.time(), outcome=outcome, message=message)
    try:
        worker.records.save(done)
    except BuildError:
        if outcome == "done":
            raise
