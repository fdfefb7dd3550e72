"""Options of build that show in what comes out of it."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests import kernel
from tests.callers import Caller
from tests.images import read_layout
from tests.program import Done

HELLO = "FROM busybox\nRUN true\n"


def built(caller: Caller, dockerfile: str, *words: str | Path, **options: Any) -> Done:
    return caller.pybuild("build", "--no-cache", *words, caller.context(dockerfile), **options)


def manifest(caller: Caller, *words: str) -> Mapping[str, Any]:
    """Build into a layout; return its manifest."""
    layout = caller.place("out") / "layout"
    built(caller, HELLO, "-o", f"type=oci,dest={layout},tar=false", *words).ok()
    return read_layout(layout).manifest


def metadata(caller: Caller, *words: str | Path) -> dict[str, Any]:
    path = caller.place("out") / "metadata.json"
    built(caller, HELLO, "--metadata-file", path, *words).ok()
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def test_the_image_id_goes_to_a_file_and_with_quiet_to_standard_output(caller: Caller) -> None:
    path = caller.place("out") / "id"
    done = built(caller, HELLO, "-q", "-t", "idtest", "--iidfile", path).ok()
    identity = caller.pybuild.inspect("idtest")["Id"]
    assert path.read_text() == identity
    assert (done.output, done.errors) == (f"{identity}\n", "")


def test_a_result_goes_to_a_pipe_as_well(as_root: Caller) -> None:
    reading, writing = os.pipe()
    built(as_root, HELLO, "--iidfile", f"/dev/fd/{writing}", pass_fds=[writing]).ok()
    os.close(writing)
    with open(reading) as pipe:
        assert pipe.read().startswith("sha256:")


@pytest.mark.parametrize("option", ["--iidfile", "--metadata-file"])
def test_a_result_that_cannot_be_written_leaves_the_image(caller: Caller, option: str) -> None:
    done = built(caller, HELLO, "-t", "kept", option, "/none/file")
    assert done.status == 4
    assert "ERROR: /none/file cannot be written: no such file or directory\n" in done.errors
    caller.pybuild("inspect", "kept").ok()


def test_metadata_has_dockers_keys(caller: Caller) -> None:
    found = metadata(caller, "-t", "one", "-t", "x.example/two:3")
    identity = caller.pybuild.inspect("one")["Id"]
    reference = found.pop("buildx.build.ref")
    assert found == {
        "containerimage.config.digest": identity,
        "containerimage.digest": identity,
        "image.name": "docker.io/library/one:latest,x.example/two:3",
    }
    caller.pybuild("records", "show", reference).ok()


def test_metadata_describes_the_manifest_of_an_output(caller: Caller) -> None:
    layout = caller.place("out") / "layout"
    found = metadata(caller, "-o", f"type=oci,dest={layout},tar=false,annotation.a=b")
    descriptor = json.loads((layout / "index.json").read_text())["manifests"][0]
    assert found["containerimage.digest"] == descriptor["digest"]
    described = found["containerimage.descriptor"]
    assert {key: described[key] for key in ("mediaType", "digest", "size")} == {
        key: descriptor[key] for key in ("mediaType", "digest", "size")
    }
    assert described["platform"]["os"] == "linux"
    assert "image.name" not in found


def test_annotations_are_the_manifests(caller: Caller) -> None:
    words = ("--annotation", "org.example.a=b", "--annotation", "manifest:c=d")
    assert manifest(caller, *words)["annotations"] == {"org.example.a": "b", "c": "d"}


def test_labels_are_the_images(caller: Caller) -> None:
    text = "FROM scratch\nLABEL a=file b=file\n"
    built(caller, text, "-t", "labels", "--label", "a=option", "--label", "c").ok()
    labels = caller.pybuild.inspect("labels")["Config"]["Labels"]
    assert labels == {"a": "option", "b": "file", "c": ""}


@pytest.mark.parametrize("how", ["option", "alias", "variable", "argument"])
def test_an_epoch_is_the_time_of_all_that_is_new(caller: Caller, how: str) -> None:
    words = {
        "option": ["--source-date-epoch", "1000"],
        "alias": ["--timestamp=1000", "--rewrite-timestamp"],
        "variable": [],
        "argument": ["--build-arg", "SOURCE_DATE_EPOCH=1000"],
    }[how]
    environment = {"SOURCE_DATE_EPOCH": "1000" if how == "variable" else ""}
    text = "FROM busybox\nRUN touch /new\n"
    built(caller, text, "-t", "epoch", *words, environment=environment).ok()
    assert caller.pybuild.inspect("epoch")["Created"] == "1970-01-01T00:16:40Z"
    assert caller.pybuild.run("epoch", "stat", "-c", "%Y", "/new").ok().output == "1000\n"


def test_an_argument_that_nobody_declares_is_told_with_a_suggestion(caller: Caller) -> None:
    text = "FROM busybox\nARG VERSION\nRUN echo is $VERSION\n"
    done = built(caller, text, "--build-arg", "VERSOIN=1", "--progress", "plain").ok()
    assert (
        "[Warning] One or more build-args [VERSOIN] were not consumed (did you mean VERSION?)"
        in done.errors
    )


def test_hosts_of_the_command_line_are_in_the_hosts_of_steps(caller: Caller) -> None:
    words = ("--add-host", "one:10.9.8.7", "--add-host", "six=[fd00::1]", "--network", "none")
    done = built(caller, "FROM busybox\nRUN cat /etc/hosts > /hosts; cat /etc/hosts\n", *words).ok()
    for line in ("10.9.8.7\tone", "fd00::1\tsix"):
        assert line in done.errors


def test_the_gateway_is_this_machine(caller: Caller) -> None:
    text = "FROM busybox\nRUN grep -w here /etc/hosts && grep -c host-gateway /etc/hosts || true\n"
    done = built(caller, text, "--add-host", "here:host-gateway", "--progress", "plain").ok()
    assert "\there\n" in done.errors
    assert " 0\n" in done.errors


def test_shared_memory_and_limits_of_processes(caller: Caller) -> None:
    text = "FROM busybox\nRUN df -k /dev/shm | tail -1; ulimit -n\n"
    words = ("--shm-size", "2m", "--ulimit", "nofile=123:456", "--progress", "plain")
    done = built(caller, text, *words).ok()
    assert " 2048 " in done.errors
    assert " 123\n" in done.errors


def test_limits_of_memory_hold_for_a_step(as_root: Caller) -> None:
    kernel.require("cgroups")
    # Shared memory counts, and needs no program that takes a lot of it.
    text = "FROM busybox\nRUN dd if=/dev/zero of=/dev/shm/x bs=1M count=60\n"
    done = built(as_root, text, "--memory", "16m", "--memory-swap", "16m")
    assert done.status == 1
    assert "hint: the step ran out of memory" in done.errors
    built(as_root, text, "--memory", "256m").ok()


def test_limits_do_not_count_for_the_cache(caller: Caller) -> None:
    kernel.require("cgroups")
    context = caller.context(HELLO)
    caller.pybuild("build", context).ok()
    words = ("--shm-size", "1m", "--ulimit", "core=0", "--pids-limit", "100")
    assert "#2 CACHED" in caller.pybuild("build", *words, context).ok().errors


def test_what_a_step_may_is_told_by_the_command_line(caller: Caller) -> None:
    text = "FROM busybox\nRUN --network=host true\n"
    refused = built(caller, text)
    assert refused.status == 2
    assert "network.host" in refused.errors
    built(caller, text, "--allow", "network.host").ok()


def test_what_changes_nothing_is_noted_and_the_build_goes_on(caller: Caller) -> None:
    words = ("--builder", "x", "--rm", "--provenance=false", "--load")
    done = built(caller, HELLO, *words).ok()
    assert "--builder changes nothing here" in done.errors
    assert "--rm changes nothing here" in done.errors
    assert "provenance" not in done.errors


def test_progress_may_be_told_by_the_environment(caller: Caller) -> None:
    done = built(caller, HELLO, environment={"BUILDKIT_PROGRESS": "rawjson"}).ok()
    assert all(json.loads(line) for line in done.errors.splitlines())
    assert not built(caller, HELLO, environment={"PYBUILD_PROGRESS": "none"}).ok().errors
