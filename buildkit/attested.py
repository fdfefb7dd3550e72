"""Makes the attestations that a build was asked for, and keeps them beside its image.

In: the request, what became of it, the stores. Out: statements about the image, in the store. The
image itself stays as it is. Source: docs/attestations.md.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from buildkit.attestation.kept import Kept, forget, keep, kept
from buildkit.attestation.mask import masked
from buildkit.attestation.package import Distribution, Package
from buildkit.attestation.provenance import BaseImage, Given, predicate_of
from buildkit.attestation.statement import AttestationKind, statement_of
from buildkit.attestation.wanted import Detail, Wanted
from buildkit.cache.key import CacheKey
from buildkit.contexts import MAIN
from buildkit.errors import BuildError
from buildkit.exporter.assemble import Image
from buildkit.frontend.lower import Lowered
from buildkit.llb.op import ImageOp
from buildkit.main_context import STDIN, Main, is_local
from buildkit.oci.digest import Digest
from buildkit.ops import secrets
from buildkit.progress.cancel import Cancel
from buildkit.progress.events import Emit, Note, Warned
from buildkit.records.record import BuildRecord
from buildkit.request import BuildRequest
from buildkit.snapshot.snapshot import Snapshot
from buildkit.worker import Worker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def attest(
    wanted: Wanted,
    request: BuildRequest,
    main: Main,
    lowered: Lowered,
    record: BuildRecord,
    image: Image,
    worker: Worker,
    emit: Emit,
    cancel: Cancel,
) -> dict[str, object] | None:
    """Make what is `wanted` about `image`, which is in the store. Raises BuildError.

    What is refused and was kept of an earlier build of the same image is forgotten: as with Moby
    BuildKit, the last build of an image says what goes along with it, also when it is pushed later.
    Returns the predicate of the provenance for the metadata file, None where none is wanted.
    """
    gone = [one for one in kept(worker.root, image.digest) if one.kind in wanted.refused]
    if gone:
        forget(worker.root, gone)
        emit(Note(f"forgot {' and '.join(one.kind for one in gone)} of an earlier build"))
    if wanted.sbom:
        _keep_sbom(image, worker, emit, cancel)
    if wanted.provenance is not None:
        predicate = _provenance(wanted, wanted.provenance, request, main, lowered, record, worker)
        _keep(worker, image, "provenance", predicate)
        emit(Note(f"attested provenance, mode={wanted.provenance}"))
    if wanted.metadata is None:
        return None
    return _provenance(wanted, wanted.metadata, request, main, lowered, record, worker)


def _provenance(
    wanted: Wanted,
    detail: Detail,
    request: BuildRequest,
    main: Main,
    lowered: Lowered,
    record: BuildRecord,
    worker: Worker,
) -> dict[str, Any]:
    """Return the predicate about the build of `record`, masked."""
    values = _secrets(request)
    predicate = predicate_of(
        _given(request, main, lowered, values),
        record._replace(ended=time.time()),
        _documents(record, worker),
        _bases(lowered, worker),
        detail,
        wanted.builder,
    )
    found: dict[str, Any] = masked(predicate, values)
    return found


def _keep_sbom(image: Image, worker: Worker, emit: Emit, cancel: Cancel) -> None:
    """Read the image's packages, unless that was done: the same image has the same document."""
    from buildkit.attestation.sbom import packages_of, sbom_of  # libraries: for --sbom alone

    known = [one for one in kept(worker.root, image.digest) if one.kind == "sbom"]
    if known and worker.blobs.has(known[0].statement):
        emit(Note("attested packages, as before"))
        return
    cancel.check()
    system, packages = Distribution(), list[Package]()
    snapshot = Snapshot.of(image.config.diff_ids)
    if snapshot is not None:
        worker.snapshots.bring(snapshot.diff_ids)
        with worker.snapshots.view(snapshot) as fd:
            system, packages = packages_of(
                fd, lambda message: emit(Warned(f"SBOM: {message}")), cancel.check
            )
    _keep(worker, image, "sbom", sbom_of(image.digest, image.config, system, packages))
    emit(Note(f"attested {len(packages)} package{'s'[: len(packages) != 1]}"))


def _keep(worker: Worker, image: Image, kind: AttestationKind, predicate: object) -> Kept:
    statement = statement_of(kind, predicate, image.digest)
    return keep(worker.root, worker.blobs, image.digest, kind, statement)


def _given(request: BuildRequest, main: Main, lowered: Lowered, values: Sequence[bytes]) -> Given:
    options = request.options
    local = is_local(request.context) or request.context == STDIN
    parameters = {f"build-arg:{name}": value for name, value in options.build_args.items()}
    parameters |= {f"label:{name}": value for name, value in options.labels}
    for name, context in options.contexts.items():
        parameters[f"context:{name}"] = context.value or f"local:{name}"
    if options.add_hosts:
        parameters["add-hosts"] = ",".join(
            f"{name}={address}" for name, address in options.add_hosts
        )
    if options.network != "default":
        parameters["force-network-mode"] = options.network
    if lowered.epoch is not None:
        parameters["build-arg:SOURCE_DATE_EPOCH"] = str(lowered.epoch)
    return Given(
        dockerfile=os.path.basename(main.dockerfile_name) or main.dockerfile_name,
        # It will be encoded, where nothing could be masked any more.
        source=masked(main.source.text, values),
        digest=Digest.of(main.source.text.encode("utf-8", "surrogateescape")),
        context="" if local else main.context_name,
        commit=main.commit,
        target=options.target,
        platform="" if options.platform is None else str(options.platform),
        builder_platform=str(options.build_platform),
        parameters=parameters,
        contexts=(
            (MAIN, ""),
            *((name, "") for name in sorted(request.context_sources)),
        ),
        secrets=tuple(request.secrets),
        ssh=tuple(request.ssh),
        version=_version(),
    )


def _documents(record: BuildRecord, worker: Worker) -> dict[str, str]:
    """Return the key documents of the steps, as far as the cache has them."""
    keys = {step.key for step in record.steps if step.key}
    return {key: text for key in keys if (text := worker.cache.document(CacheKey(key)))}


def _bases(lowered: Lowered, worker: Worker) -> list[BaseImage]:
    """Return the images that went in; the store knows the manifests of those it fetched."""
    found = {}
    for vertex in lowered.graph:
        if isinstance(vertex.op, ImageOp):
            op = vertex.op
            manifest = worker.images.manifest(op.config)
            found[op.config] = BaseImage(op.reference, op.config, manifest, op.platform)
    if lowered.base is not None and lowered.base.config_digest not in found:
        base = lowered.base
        manifest = worker.images.manifest(base.config_digest)
        platform = str(base.config.platform)
        found[base.config_digest] = BaseImage(
            base.reference, base.config_digest, manifest, platform
        )
    return list(found.values())


def _secrets(request: BuildRequest) -> list[bytes]:
    """Return the values of the secrets, so that none is in a document by accident."""
    found = []
    for name, source in request.secrets.items():
        try:
            found.append(secrets.read(name, source))
        except BuildError:
            continue  # no step has read it either
    return found


def _version() -> str:
    from importlib import metadata  # 20 ms, for a provenance alone

    try:
        return metadata.version("pybuild")
    except metadata.PackageNotFoundError:
        return ""
