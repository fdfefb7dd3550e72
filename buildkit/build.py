"""A build on one page: Dockerfile and context in, image out.

In: what the user asked for, and what the machine has. Out: the image's ID, under its names in the
local store and in the outputs. Whatever becomes of a build, it leaves a record.
"""

from __future__ import annotations

import os
import time

from buildkit.definition import arguments, placed
from buildkit.errors import BuildError, Cancelled
from buildkit.exporter.assemble import Entry, Image, assemble
from buildkit.findings import CHECK_ARG, Told, tell
from buildkit.ops.table import BuildOps
from buildkit.progress.events import Emit, Note, Warned
from buildkit.records.record import BuildOutcome, BuildRecord, new_build_id
from buildkit.request import (
    BuildRequest,
    Ready,
    graphs_for,
    identity_of,
    ready,
    sharing_for,
    whole_of,
)
from buildkit.snapshot.snapshot import Snapshot
from buildkit.solver.causes import Past
from buildkit.solver.solve import Result, solve
from buildkit.solver.step import StepLogs
from grammar.parser import parse
from grammar.urls import redacted
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from buildkit.exporter.table import Exported
    from buildkit.frontend.lower import Lowered
    from buildkit.main_context import Main
    from buildkit.oci.descriptor import Descriptor
    from buildkit.oci.digest import Digest
    from buildkit.ops.stores import Stores
    from buildkit.progress.cancel import Cancel
    from buildkit.remotecache.export import CacheExport
    from buildkit.remotecache.load import Shared
    from buildkit.worker import Worker
    from grammar.instructions import Dockerfile


class BuildResult(NamedTuple):
    """What came out: the image, what became of the outputs, the build's record, the findings.

    `digest`: the image's ID, of several platforms that of their index in the store,
    `index_written`; `image` is that of the first platform then. `grown`: a step ran. `provenance`:
    the predicate for --metadata-file, where one is wanted.
    """

    image: Image
    exported: tuple[Exported, ...]
    record: str
    warnings: tuple[str, ...]
    grown: bool
    provenance: dict[str, object] | None = None
    index_written: Descriptor | None = None

    @property
    def digest(self) -> Digest:
        """See above."""
        return self.image.digest if self.index_written is None else self.index_written.digest


def build(request: BuildRequest, worker: Worker, emit: Emit, cancel: Cancel) -> BuildResult:
    """Build, name and export. Raises BuildError, with an excerpt of the Dockerfile where it can."""
    with (
        ready(request, worker, cancel) as given,
        sharing_for(request, worker, emit, cancel) as shared,
    ):
        record = _begun(request, given.main)
        try:
            dockerfile = parse(given.main.source)
            several = graphs_for(request, dockerfile, given.main, worker, emit, cancel, shared)
            lowered = whole_of(several)
            for one in several:
                _searched(one, request)
            within = _budget(request, several, worker, emit)
            notes = _linted(lowered, dockerfile, request, worker, emit)
            result = _solved(
                lowered, dockerfile, request, given, record, shared, worker, emit, cancel
            )
            _warn(notes, emit)
            record = record._replace(steps=result.steps)
            if result.error is not None:
                raise result.error
            images = [_assembled(one, result) for one in several]
            caches = _caches(lowered, several, request, result, shared, worker, emit, cancel)
            if caches is not None:
                pairs = zip(images, several, strict=True)
                images = [caches.within(image, _layered(one)) for image, one in pairs]
            cancel.check()
            within(images)
            index = _keep(images, request, worker, emit)
            provenance = _attested(
                request, given.main, several, record, images, worker, emit, cancel
            )
            if shared is not None:
                shared.keep()
            exported = _exported(images, request, worker, emit, cancel)
            if caches is not None:
                caches.write()
            record = record._replace(image=images[0].digest if index is None else index.digest)
        except BaseException as error:
            told = _told(error, given.main, request)
            outcome: BuildOutcome = "cancelled" if isinstance(told, Cancelled) else "failed"
            message = told.message if isinstance(told, BuildError) else str(told)
            _save(worker, record, outcome, message)
            if told is error:
                raise
            raise told from error
    _save(worker, record, "done", "")
    grown = any(step.outcome == "run" for step in result.steps)
    return BuildResult(images[0], exported, record.id, lowered.warnings, grown, provenance, index)


def _solved(
    lowered: Lowered,
    dockerfile: Dockerfile,
    request: BuildRequest,
    given: Ready,
    record: BuildRecord,
    shared: Shared | None,
    worker: Worker,
    emit: Emit,
    cancel: Cancel,
) -> Result:
    def attempt(stores: Stores, stop: Cancel) -> Result:
        ops = BuildOps(
            stores,
            given.contexts,
            given.grants,
            clamp=lowered.epoch,
            salvage=_salvage(request, emit),
        )
        try:
            return solve(
                lowered.graph,
                lowered.target,
                ops,
                stores.cache,
                emit,
                jobs=request.jobs,
                cancel=stop,
                policy=request.policy._replace(epoch=lowered.epoch),
                past=Past(lambda: worker.records.each(record.identity), arguments(dockerfile)),
                logs=StepLogs(worker.root.path("logs"), record.id),
            )
        finally:
            ops.close()
            if ops.connected:
                worker.behind(ops.disconnect)

    given.contexts.prefetch(lowered.graph)
    if shared is None:
        return attempt(worker.stores(), cancel)
    return shared.solve(attempt, lowered.target)


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


def _keep(
    images: Sequence[Image], request: BuildRequest, worker: Worker, emit: Emit
) -> Descriptor | None:
    """Put the image into the local store, durably, and name it; return the index of several.

    Not when an output says `store=false`.
    """
    index = None
    if request.platforms:
        # Compression: an index names manifests, and those compressed layers.
        from buildkit.exporter.forms import Forms
        from buildkit.exporter.index import keep_index
        from buildkit.exporter.oci import NamedImage

        named = [NamedImage(image.config, image.data, image.digest) for image in images]
        forms = Forms(worker.root, worker.stores().snapshots, worker.blobs)
        index = keep_index(
            named, request.tags, request.annotations, worker.images, worker.blobs, forms, emit
        )
    elif not all(output.store for output in request.outputs):
        emit(Note(f"image {images[0].digest}, not kept"))
        return None
    else:
        worker.images.add(images[0].data, request.tags)
        emit(Note(f"image {images[0].digest}"))
    for tag in request.tags:
        emit(Note(f"named {tag.familiar}"))
    return index


def _attested(
    request: BuildRequest,
    main: Main,
    several: Sequence[Lowered],
    record: BuildRecord,
    images: Sequence[Image],
    worker: Worker,
    emit: Emit,
    cancel: Cancel,
) -> dict[str, object] | None:
    """Keep what is to be said about each image beside it; return what result files say of it.

    Of several platforms that is by platform, as docker has it.
    """
    if request.attest is None:
        return None
    from buildkit.attested import attest  # for these options only

    found: dict[str, object] = {}
    for lowered, image in zip(several, images, strict=True):
        own = request.single(lowered.platform) if request.platforms else request
        said = attest(request.attest, own, main, lowered, record, image, worker, emit, cancel)
        if not request.platforms:
            return said
        if said is not None:
            found[str(lowered.platform)] = said
    return found or None


def _told(error: BaseException, main: Main, request: BuildRequest) -> BaseException:
    """Return `error` with its place in the Dockerfile, and without the values of secrets."""
    told = placed(error, main.source)
    if request.secrets and isinstance(told, BuildError):
        from buildkit.leaks import hidden  # as below

        return hidden(told, request.secrets)
    return told


def _searched(lowered: Lowered, request: BuildRequest) -> None:
    """Raise BuildError when a secret would be written down with a step or the config."""
    if request.secrets and request.search_secrets:
        from buildkit.leaks import search_definition  # for builds with secrets only

        search_definition(lowered, request.secrets, request.outputs)


def _budget(
    request: BuildRequest, several: Sequence[Lowered], worker: Worker, emit: Emit
) -> Callable[[Sequence[Image]], None]:
    """Return what raises BuildError for images that are larger than they may be."""
    wished = any(step.wishes.max_layer_size for one in several for step in one.steps)
    if request.budget is None and not wished:
        return lambda _images: None
    # Compares trees: for its options and comments only.
    from buildkit import budget
    from buildkit.inventory.budget import Budget

    allowed = request.budget or Budget()

    earlier = budget.before(allowed, request.tags, several, worker, emit)
    return lambda images: budget.check(allowed, images, several, earlier, worker)


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


def _exported(
    images: Sequence[Image], request: BuildRequest, worker: Worker, emit: Emit, cancel: Cancel
) -> tuple[Exported, ...]:
    """Write the outputs."""
    outputs = [output for output in request.outputs if not output.on_failure]
    if not outputs:
        return ()
    stores, tags = worker.stores(), request.tags
    if request.platforms:
        from buildkit.exporter.several import export_several

        return tuple(
            export_several(output, images, tags, stores, worker.blobs, emit, cancel)
            for output in outputs
        )
    # Compression and archives: a build for the store needs none of it.
    from buildkit.exporter.table import export

    return tuple(
        export(output, images[0], tags, stores, worker.blobs, emit, cancel) for output in outputs
    )


def _salvage(request: BuildRequest, emit: Emit) -> Callable[[int], None] | None:
    """Return what keeps something of a step that fails, None when nobody wants that."""
    if not any(output.on_failure for output in request.outputs):
        return None
    from buildkit.exporter.salvage import salvage  # for this option only

    return lambda fd: salvage(fd, request.outputs, emit)


def _caches(
    lowered: Lowered,
    several: Sequence[Lowered],
    request: BuildRequest,
    result: Result,
    shared: Shared | None,
    worker: Worker,
    emit: Emit,
    cancel: Cancel,
) -> CacheExport | None:
    """Return what writes the caches of --cache-to, None when there are none to be written."""
    if not request.cache_to:
        return None
    # Compression, threads: for this option only.
    from buildkit.remotecache.export import CacheExport
    from buildkit.remotecache.own import Solved

    image = frozenset(vertex for one in several for vertex in _layered(one))
    solved = Solved(lowered.graph, lowered.target, result.refs, result.keys, image)
    platform = request.options.target_platform
    return CacheExport(request.cache_to, solved, worker, shared, platform, emit, cancel)


def _layered(lowered: Lowered) -> frozenset[str]:
    """Return the vertices that have a layer in the image."""
    return frozenset(item.vertex for item in lowered.history if item.vertex is not None)


def _begun(request: BuildRequest, main: Main) -> BuildRecord:
    return BuildRecord(
        id=new_build_id(),
        identity=identity_of(request, main),
        dockerfile=main.dockerfile_name,
        context=main.context_name,
        target=request.options.target,
        platform=request.platform_text,
        started=time.time(),
        ended=0.0,
        outcome="failed",
        contexts=tuple(
            (name, os.path.abspath(path)) for name, path in request.context_sources.items()
        ),
    )


def _save(worker: Worker, record: BuildRecord, outcome: BuildOutcome, message: str) -> None:
    """Keep the record; a disk too full for it does not hide what the build itself has to say."""
    done = record._replace(ended=time.time(), outcome=outcome, message=redacted(message))
    try:
        worker.records.save(done)
    except BuildError:
        if outcome == "done":
            raise
