"""How an image was made: a SLSA provenance predicate, v1.

In: what was asked for and what became of it, as values. Out: the predicate, not masked yet. Which
fields mode=min and mode=max have is Moby BuildKit's choice: values of build arguments, labels, the
Dockerfile and the steps are for max alone. Pure.
Source: slsa.dev/spec/v1.0/provenance; docs/attestations.md says what the fields mean here.
"""

from __future__ import annotations

import hashlib
import json
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import quote

from buildkit.attestation.purl import purl_of
from buildkit.attestation.wanted import Detail
from buildkit.oci.digest import Digest
from buildkit.records.record import BuildRecord, StepRecord
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


BUILD_TYPE = "urn:pybuild:build-type:dockerfile:v1"
BUILDER = "urn:pybuild:builder:local"
_FRONTEND = "dockerfile.v0"
_CONTEXT = "context "


class BaseImage(NamedTuple):
    """An image that the build took files from; `manifest` None where the store knows none."""

    reference: str
    config: Digest
    manifest: Digest | None
    platform: str


class Given(NamedTuple):
    """What was asked for. `context`: a URL, empty for files of this machine; `commit` of it.

    `dockerfile`: its name; `source` its text, masked, and `digest` that of the text as it is.
    `parameters`: of the frontend, as BuildKit calls them (`build-arg:NAME`). `contexts`: names and
    URLs, empty for directories. `secrets`, `ssh`: their IDs.
    """

    dockerfile: str
    source: str
    digest: Digest
    context: str = ""
    commit: str = ""
    target: str = ""
    platform: str = ""
    builder_platform: str = ""
    parameters: Mapping[str, str] = {}
    contexts: Sequence[tuple[str, str]] = ()
    secrets: Sequence[str] = ()
    ssh: Sequence[str] = ()
    version: str = ""


def predicate_of(
    given: Given,
    record: BuildRecord,
    documents: Mapping[str, str],
    bases: Sequence[BaseImage],
    detail: Detail,
    builder: str = "",
) -> dict[str, Any]:
    """Return the predicate. `documents`: key documents of the steps of `record`, by key.

    `record` has no end yet: it ends now, at `record.ended`.
    """
    internal: dict[str, Any] = {"builderPlatform": given.builder_platform}
    if detail == "max":
        internal["buildConfig"] = {"steps": [_step(step) for step in record.steps if step.number]}
    return {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": _external(given, detail),
            "internalParameters": internal,
            "resolvedDependencies": _dependencies(given, record, documents, bases),
        },
        "runDetails": {
            "builder": {
                "id": builder or BUILDER,
                **({"version": {"pybuild": given.version}} if given.version else {}),
            },
            "metadata": _metadata(given, record, detail),
        },
    }


def _external(given: Given, detail: Detail) -> dict[str, Any]:
    source: dict[str, Any] = {}
    if given.context:
        source["uri"] = given.context
        if given.commit:
            source["digest"] = {"gitCommit": given.commit}
    source["path"] = given.dockerfile
    arguments = {}
    if given.target:
        arguments["target"] = given.target
    if given.platform:
        arguments["platform"] = given.platform
    if detail == "max":
        arguments.update(given.parameters)
    request: dict[str, Any] = {"frontend": _FRONTEND, "args": arguments}
    request["locals"] = [{"name": name} for name, uri in given.contexts if not uri]
    request["secrets"] = [{"id": name} for name in sorted(given.secrets)]
    request["ssh"] = [{"id": name} for name in sorted(given.ssh)]
    return {"configSource": source, "request": {k: v for k, v in request.items() if v}}


def _metadata(given: Given, record: BuildRecord, detail: Detail) -> dict[str, Any]:
    found: dict[str, Any] = {
        "invocationId": record.id,
        "startedOn": _rfc3339(record.started),
        "finishedOn": _rfc3339(record.ended),
        # Programs of a step may fetch what they like: nobody watches the network.
        "pybuild_completeness": {
            "request": detail == "max",
            "resolvedDependencies": not any(step.kind == "exec" for step in record.steps),
        },
    }
    if detail == "max":
        found["pybuild_source"] = {
            "path": given.dockerfile,
            "data": b64encode(given.source.encode("utf-8", "surrogateescape")).decode(),
        }
    return found


def _dependencies(
    given: Given,
    record: BuildRecord,
    documents: Mapping[str, str],
    bases: Sequence[BaseImage],
) -> list[dict[str, Any]]:
    """Return what went in, with digests, sorted by URI."""
    found = [_base(base) for base in bases]
    for step in record.steps:
        found += _remote(_document(documents.get(step.key) or step.document))
    if given.context:
        digest = {"digest": {"gitCommit": given.commit}} if given.commit else {}
        found.append({"uri": given.context, **digest})
    taken = _taken(record, documents)
    for name, uri in given.contexts:
        if name in taken:
            place = uri or f"urn:pybuild:context:{quote(name)}"
            found.append({"uri": place, "name": name, "digest": {"sha256": taken[name]}})
    found.append(
        {
            "uri": f"urn:pybuild:dockerfile:{quote(given.dockerfile)}",
            "name": "Dockerfile",
            "digest": {"sha256": given.digest.hex},
        }
    )
    distinct = {json.dumps(one, sort_keys=True): one for one in found}
    return [distinct[key] for key in sorted(distinct, key=lambda key: (distinct[key]["uri"], key))]


def _base(base: BaseImage) -> dict[str, Any]:
    uri = purl_of(base.reference, base.platform)
    if base.manifest is not None:
        return {"uri": uri, "digest": {"sha256": base.manifest.hex}}
    # Made on this machine, so it has no manifest anybody could ask for; this is its ID.
    about = {"annotations": {"pybuild:digest-of": "image config"}}
    return {"uri": uri, "digest": {"sha256": base.config.hex}, **about}


def _remote(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what the step of a key document fetched, if it did."""
    op, parts = document.get("op", {}), document.get("parts", {})
    match op.get("type"):
        case "git":
            remote = str(op.get("remote", ""))
            ref = f"#{op['ref']}" if op.get("ref") else ""
            yield {"uri": f"{remote}{ref}", "digest": {"gitCommit": str(parts.get("commit", ""))}}
        case "http":
            body = str(parts.get("body", "")).removeprefix("sha256:")
            yield {"uri": str(op.get("url", "")), "digest": {"sha256": body}}
        case _:
            return


def _taken(record: BuildRecord, documents: Mapping[str, str]) -> dict[str, str]:
    """Return a digest, in hex, of what the steps took from each context.

    It is the sha256 of the JSON list, sorted, of what their keys have of it: digests of the files
    that were selected, names, modes and contents. What no step takes is not in it.
    """
    found: dict[str, set[str]] = {}
    for step in record.steps:
        inputs = _document(documents.get(step.key) or step.document).get("inputs", [])
        for source, identity in zip(step.inputs, inputs, strict=False):
            if isinstance(source, str) and source.startswith(_CONTEXT) and identity is not None:
                text = json.dumps(identity, sort_keys=True)
                found.setdefault(source.removeprefix(_CONTEXT), set()).add(text)
    return {
        name: hashlib.sha256(json.dumps(sorted(texts)).encode()).hexdigest()
        for name, texts in found.items()
    }


def _document(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _step(step: StepRecord) -> dict[str, Any]:
    found: dict[str, Any] = {"number": step.number, "name": step.name, "stage": step.stage}
    found["kind"] = step.kind
    found["cached"] = step.outcome == "cached"
    if step.lines:
        found["lines"] = list(step.lines)
    found["inputs"] = list(step.inputs)
    if step.diff_id:
        found["layer"] = step.diff_id
    return found


def _rfc3339(seconds: float) -> str:
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{whole}.{int(seconds % 1 * 1000):03d}Z"
