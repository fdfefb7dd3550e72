import hashlib
import json
from typing import Any

from buildkit.attestation.provenance import BaseImage, Given, predicate_of
from buildkit.attestation.wanted import Detail
from buildkit.oci.digest import Digest
from buildkit.records.record import BuildRecord, StepRecord

MANIFEST, CONFIG, BODY = (Digest.of(text) for text in (b"manifest", b"config", b"body"))
DOCUMENTS = {
    "git": {"op": {"type": "git", "remote": "https://h/r.git", "ref": "v1"}},
    "http": {"op": {"type": "http", "url": "https://h/a.tar"}, "parts": {"body": BODY}},
    "copy": {"op": {"type": "copy"}, "inputs": [None, "sha256:aa"]},
}
DOCUMENTS["git"]["parts"] = {"commit": "c0ffee"}
GIVEN = Given(
    dockerfile="Dockerfile",
    source="FROM a\n",
    digest=Digest.of(b"FROM a\n"),
    target="app",
    parameters={"build-arg:TOKEN": "value", "label:a": "b"},
    contexts=(("context", ""), ("unused", "")),
    secrets=("s",),
)


def step(kind: str, *inputs: int | str) -> StepRecord:
    return StepRecord(1, f"[app 1/1] {kind}", "app", kind, "run", key=kind, inputs=inputs)


RECORD = BuildRecord(
    id="b1",
    identity="",
    dockerfile="",
    context="",
    target="app",
    platform="linux/amd64",
    started=0.5,
    ended=86_400.25,
    outcome="done",
    steps=(step("git"), step("http"), step("copy", 0, "context context")),
)
BASES = (
    BaseImage("docker.io/library/a:1", CONFIG, MANIFEST, "linux/amd64"),
    BaseImage("docker.io/library/own:1", CONFIG, None, "linux/amd64"),
)


def made(detail: Detail, given: Given = GIVEN) -> dict[str, Any]:
    documents = {key: json.dumps(document) for key, document in DOCUMENTS.items()}
    return predicate_of(given, RECORD, documents, BASES, detail)


def test_all_that_went_in_is_a_dependency_with_its_digest() -> None:
    found = made("min")["buildDefinition"]["resolvedDependencies"]
    taken = hashlib.sha256(json.dumps(['"sha256:aa"']).encode()).hexdigest()
    assert [(one["uri"], *one["digest"].values()) for one in found] == [
        ("https://h/a.tar", BODY.hex),
        ("https://h/r.git#v1", "c0ffee"),
        ("pkg:docker/a@1?platform=linux%2Famd64", MANIFEST.hex),
        ("pkg:docker/own@1?platform=linux%2Famd64", CONFIG.hex),
        ("urn:pybuild:context:context", taken),
        ("urn:pybuild:dockerfile:Dockerfile", Digest.of(b"FROM a\n").hex),
    ]


def test_a_repository_as_context_is_told_with_its_commit() -> None:
    given = GIVEN._replace(context="https://h/ctx.git#main", commit="beef")
    found = made("min", given)["buildDefinition"]
    assert found["externalParameters"]["configSource"] == {
        "uri": "https://h/ctx.git#main",
        "digest": {"gitCommit": "beef"},
        "path": "Dockerfile",
    }
    assert {"uri": given.context, "digest": {"gitCommit": "beef"}} in found["resolvedDependencies"]


def test_values_of_arguments_and_the_steps_are_for_mode_max() -> None:
    least, most = made("min"), made("max")
    assert least["buildDefinition"]["externalParameters"]["request"] == {
        "frontend": "dockerfile.v0",
        "args": {"target": "app"},
        "locals": [{"name": "context"}, {"name": "unused"}],
        "secrets": [{"id": "s"}],
    }
    assert "value" not in json.dumps(least)
    assert "pybuild_source" not in least["runDetails"]["metadata"]
    arguments = most["buildDefinition"]["externalParameters"]["request"]["args"]
    assert arguments == {"target": "app", "build-arg:TOKEN": "value", "label:a": "b"}
    steps = most["buildDefinition"]["internalParameters"]["buildConfig"]["steps"]
    assert [one["kind"] for one in steps] == ["git", "http", "copy"]


def test_times_are_rfc_3339_and_a_build_without_run_is_complete() -> None:
    metadata = made("max")["runDetails"]["metadata"]
    assert metadata["startedOn"] == "1970-01-01T00:00:00.500Z"
    assert metadata["finishedOn"] == "1970-01-02T00:00:00.250Z"
    assert metadata["pybuild_completeness"] == {"request": True, "resolvedDependencies": True}
