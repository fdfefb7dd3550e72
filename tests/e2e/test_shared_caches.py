"""Caches that machines share: two stores, which stand for two machines, and what lies between."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.callers import Caller
from tests.e2e.docker_registry import DockerRegistry, docker_registry
from tests.e2e.tools import needs_tool
from tests.program import Pybuild

DOCKERFILE = """\
FROM busybox AS tools
RUN echo tool > /tool && head -c 300000 /dev/urandom > /big
FROM busybox
COPY a.txt /
COPY --from=tools /tool /tool
RUN --mount=type=cache,id=deps,target=/deps echo one >> /deps/log; cp /deps/log /log
RUN echo last > /last
"""
STEPS = [
    "RUN echo tool > /tool && head -c 300000 /dev/urandom > /big",
    "COPY a.txt /",
    "COPY --from=tools /tool /tool",
    "RUN --mount=type=cache,id=deps,target=/deps echo one >> /deps/log; cp /deps/log /log",
    "RUN echo last > /last",
]
TOOLS, COPY, COPY_FROM, DEPS, LAST = STEPS


class Built(NamedTuple):
    """What a build did; steps in the order of the Dockerfile."""

    image: str
    ran: list[str]
    cached: list[str]
    warnings: list[str]


def build(program: Pybuild, context: Path, *options: str, name: str = "app", **rest: Any) -> Built:
    """Build, which must succeed, and tell what ran."""
    done = program("build", "--progress", "rawjson", "-t", name, *options, context, **rest).ok()
    image, warnings = "", []
    ran: dict[int, str] = {}
    cached: dict[int, str] = {}
    for line in done.errors.splitlines():
        event = json.loads(line)
        step = event.get("name", "").partition("] ")[2]
        if event["event"] == "note" and event["message"].startswith("image "):
            image = event["message"].removeprefix("image ")
        elif event["event"] == "step-done":
            ran[event["number"]] = step
        elif event["event"] == "step-cached" and not step.startswith("FROM "):
            cached[event["number"]] = step
        elif event["event"] == "warned":
            warnings.append(event["message"])
    return Built(image, _in_order(ran), _in_order(cached), warnings)


def _in_order(steps: dict[int, str]) -> list[str]:
    return [steps[number] for number in sorted(steps)]


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[DockerRegistry]:
    with docker_registry(tmp_path / "registry") as found:
        yield found


@pytest.fixture
def context(caller: Caller) -> Path:
    return caller.context(DOCKERFILE, "file a.txt text=a")


@needs_tool("docker-registry")
def test_with_a_registry_between_nothing_runs_and_only_the_image_is_fetched(
    caller: Caller, context: Path, registry: DockerRegistry
) -> None:
    """The bases are in the registry, too: the second machine starts with nothing at all."""
    reference = f"{registry.host}/app/cache"
    base, tools = f"{registry.host}/base:1", f"{registry.host}/tools:1"
    here = caller.fresh()
    here("tag", "busybox", base).ok()
    here("push", base).ok()
    here("build", "-t", tools, "--push", caller.context("FROM busybox\nRUN echo tools > /t\n")).ok()
    text = DOCKERFILE.replace("FROM busybox AS", f"FROM {tools} AS")
    caller.write(context / "Dockerfile", text.replace("FROM busybox", f"FROM {base}"))
    first = build(
        here, context, "--cache-to", f"type=registry,ref={reference},mode=max,mounts=deps"
    )
    assert first.ran == STEPS
    registry.asked()
    there = caller.empty()

    second = build(there, context, "--cache-from", f"type=registry,ref={reference}")

    assert (second.image, second.ran, second.cached) == (first.image, [], STEPS)
    fetched = registry.blobs_fetched()
    image = here.inspect("app")
    # Its layers, and three configs: of the two bases and of the cache.
    assert len(fetched) == len(set(fetched)) == len(image["RootFS"]["Layers"]) + 3
    # The base of the image is here now, that of the tools is not.
    there("inspect", base).ok()
    assert there("inspect", tools).status != 0


@needs_tool("docker-registry")
def test_cache_mounts_arrive_when_a_step_needs_them(
    caller: Caller, context: Path, registry: DockerRegistry
) -> None:
    reference = f"{registry.host}/app/cache"
    build(
        caller.fresh(),
        context,
        *("--cache-to", f"type=registry,ref={reference},mode=max,mounts=deps"),
    )
    caller.write(context / "Dockerfile", DOCKERFILE.replace("echo one", "echo two"))
    registry.asked()

    other = caller.fresh()
    second = build(other, context, "--cache-from", reference)

    assert second.ran == [DEPS.replace("one", "two"), LAST]
    assert other.run("app", "cat", "/log").ok().output == "one\ntwo\n"
    # The config, the mount, and what lies below the step in the image; nothing of the tools.
    assert len(registry.blobs_fetched()) == 4


def test_cache_mounts_arrive_at_once_when_they_are_asked_for(caller: Caller, context: Path) -> None:
    cache = caller.place("shared") / "cache"
    build(caller.fresh(), context, "--cache-to", f"type=local,dest={cache},mode=max,mounts=deps")
    other = caller.fresh()
    build(other, context, "--cache-from", f"type=local,src={cache},mounts=deps")
    caller.write(context / "Dockerfile", DOCKERFILE.replace("echo one", "echo two"))

    build(other, context)

    assert other.run("app", "cat", "/log").ok().output == "one\ntwo\n"


def test_a_cache_mount_with_something_in_it_stays_as_it_is(as_root: Caller, tmp_path: Path) -> None:
    context = as_root.context(DOCKERFILE, "file a.txt text=a")
    cache = f"{tmp_path}/cache"
    build(as_root.fresh(), context, "--cache-to", f"type=local,dest={cache},mounts=deps")
    other = as_root.fresh()
    own = as_root.context(
        "FROM busybox\nRUN --mount=type=cache,id=deps,target=/deps echo own > /deps/log\n"
    )
    build(other, own)
    as_root.write(context / "Dockerfile", DOCKERFILE.replace("echo one", "echo two"))

    build(other, context, "--cache-from", f"type=local,src={cache},mounts=deps")

    assert other.run("app", "cat", "/log").ok().output == "own\ntwo\n"


def test_in_a_directory_the_same(caller: Caller, context: Path) -> None:
    cache = caller.place("shared") / "cache"
    first = build(caller.fresh(), context, "--cache-to", f"type=local,dest={cache},mode=max")

    second = build(caller.fresh(), context, "--cache-from", f"type=local,src={cache}")

    assert (second.image, second.ran, second.cached) == (first.image, [], STEPS)
    assert second.warnings == []


def test_what_was_found_elsewhere_is_kept_here(as_root: Caller, tmp_path: Path) -> None:
    context = as_root.context("FROM busybox\nCOPY a.txt /\nRUN true\n", "file a.txt text=a")
    cache = f"{tmp_path}/cache"
    first = build(as_root.fresh(), context, "--cache-to", f"type=local,dest={cache}")
    other = as_root.fresh()
    build(other, context, "--cache-from", f"type=local,src={cache}")
    os.rename(cache, f"{cache}.gone")

    second = build(other, context, "--cache-from", f"type=local,src={cache}")

    # The cache is not even asked for, so nobody notices that it is gone.
    assert (second.image, second.ran, second.warnings) == (first.image, [], [])


CHANGES = [
    ("nothing", {}, []),
    ("the content of a file", {"a.txt": "b"}, [COPY, COPY_FROM, DEPS, LAST]),
    (
        "a late step",
        {"Dockerfile": DOCKERFILE.replace("last >", "end >")},
        ["RUN echo end > /last"],
    ),
    (
        "a command, with the same result but for times",
        {"Dockerfile": DOCKERFILE.replace("cp /deps/log /log", "cp /deps/log /log && true")},
        [f"{DEPS} && true"],
    ),
    (
        "another stage, with the same result where it is copied from",
        {"Dockerfile": DOCKERFILE.replace("300000", "200000")},
        [TOOLS.replace("300000", "200000")],
    ),
]


@pytest.mark.parametrize(("changed", "write", "ran"), CHANGES, ids=[row[0] for row in CHANGES])
def test_on_another_machine_only_what_changed_runs(
    as_root: Caller, tmp_path: Path, changed: str, write: dict[str, str], ran: list[str]
) -> None:
    """Another checkout: another directory, other inodes and times, another umask for the build."""
    cache = f"{tmp_path}/cache"
    context = as_root.context(DOCKERFILE, "file a.txt text=a")
    build(as_root.fresh(), context, "--cache-to", f"type=local,dest={cache},mode=max")
    other = as_root.context(DOCKERFILE, "file a.txt text=a")
    for name, text in write.items():
        as_root.write(other / name, text)
    os.utime(other / "a.txt", (1, 1))

    second = build(as_root.fresh(), other, "--cache-from", f"type=local,src={cache}", umask=0o77)

    assert (changed, second.ran) == (changed, ran)


@pytest.mark.parametrize(
    ("time", "behind"), [("1500000000", []), ("1600000000", ["RUN echo behind > /behind"])]
)
def test_times_that_a_step_has_set_come_from_nowhere_else(
    as_root: Caller, tmp_path: Path, time: str, behind: list[str]
) -> None:
    touching = "RUN true {0}; echo x > /f; touch -d @{1} /f"
    text = f"FROM busybox\n{touching}\nRUN echo behind > /behind\n"
    context = as_root.context(text.format("one", "1500000000"))
    cache = f"type=local,{{}}={tmp_path}/cache"
    build(as_root.fresh(), context, "--cache-to", cache.format("dest"))
    as_root.write(context / "Dockerfile", text.format("two", time))
    other = as_root.fresh()

    done = build(other, context, "--cache-from", cache.format("src"))

    assert done.ran == [touching.format("two", time), *behind]
    assert other.run("app", "stat", "-c", "%Y", "/f").ok().output == f"{time}\n"


def test_what_steps_see_of_other_stages_need_not_be_fetched_to_find_them(
    as_root: Caller, tmp_path: Path
) -> None:
    """By a bind mount; and a linked copy needs nothing of what it stands on."""
    context = as_root.context(
        "FROM busybox AS tools\n"
        "RUN mkdir /t && echo tool > /t/tool\n"
        "FROM busybox\n"
        "RUN --mount=type=bind,from=tools,source=/t,target=/t cat /t/tool > /copied\n"
        "COPY --link a.txt /\n",
        "file a.txt text=a",
    )
    cache = f"{tmp_path}/cache"
    build(as_root.fresh(), context, "--cache-to", f"type=local,dest={cache},mode=max")
    as_root.write(context / "a.txt", "b")
    other = as_root.fresh()
    before = set(os.listdir(other.root / "layers"))

    second = build(other, context, "--cache-from", f"type=local,src={cache}")

    assert second.ran == ["COPY --link a.txt /"]
    # The layers of the image alone.
    assert len(set(os.listdir(other.root / "layers")) - before) == 2
    assert other.run("app", "cat", "/copied", "/a.txt").ok().output == "tool\nb"


def test_mode_min_has_the_steps_of_the_image_alone(as_root: Caller, tmp_path: Path) -> None:
    context = as_root.context(DOCKERFILE, "file a.txt text=a")
    cache = f"{tmp_path}/cache"
    build(as_root.fresh(), context, "--cache-to", f"type=local,dest={cache}")

    second = build(as_root.fresh(), context, "--cache-from", f"type=local,src={cache}")

    assert second.ran == [TOOLS]


@needs_tool("docker-registry")
def test_a_cache_inside_of_the_image(as_root: Caller, registry: DockerRegistry) -> None:
    context = as_root.context(DOCKERFILE, "file a.txt text=a")
    name = f"{registry.host}/app:1"
    here = as_root.fresh()
    first = build(here, context, "--build-arg", "BUILDKIT_INLINE_CACHE=1", "--push", name=name)
    registry.asked()

    other = as_root.fresh()
    second = build(other, context, "--cache-from", name, "--cache-to", "type=inline")

    assert second.ran == [TOOLS]
    assert second.image == first.image
    assert len(registry.blobs_fetched()) == 5
    assert other.run("app", "cat", "/last").ok().output == "last\n"


def test_steps_that_may_not_come_from_the_cache_do_not(as_root: Caller, tmp_path: Path) -> None:
    context = as_root.context(DOCKERFILE, "file a.txt text=a")
    cache = f"{tmp_path}/cache"
    build(as_root.fresh(), context, "--cache-to", f"type=local,dest={cache},mode=max")
    source = ("--cache-from", f"type=local,src={cache}")

    assert build(as_root.fresh(), context, *source, "--no-cache").ran == STEPS
    assert TOOLS in build(as_root.fresh(), context, *source, "--no-cache-filter", "tools").ran
    assert build(as_root.fresh(), context, *source, "--no-cache-step", "RUN echo last").ran == [
        LAST
    ]


def layers_of(cache: Path) -> list[Path]:
    """Return the blobs of a cache's layers, in the order of its manifest."""
    index = json.loads((cache / "index.json").read_bytes())
    manifest = json.loads(blob_of(cache, index["manifests"][0]["digest"]).read_bytes())
    return [blob_of(cache, layer["digest"]) for layer in manifest["layers"]]


def blob_of(cache: Path, digest: str) -> Path:
    return cache / "blobs" / digest.replace(":", "/")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def overwritten(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:30] + bytes(10) + data[40:])


@pytest.mark.parametrize("harm", [cut, overwritten, Path.unlink])
def test_layers_that_are_damaged_are_made_again(as_root: Caller, tmp_path: Path, harm: Any) -> None:
    """And written again: the cache is whole once this build has written to it."""
    context = as_root.context(DOCKERFILE, "file a.txt text=a")
    cache = tmp_path / "cache"
    here = as_root.fresh()
    build(here, context, "--cache-to", f"type=local,dest={cache},mode=max")
    for path in layers_of(cache):
        harm(path)

    second = build(
        as_root.fresh(),
        context,
        *("--cache-from", f"type=local,src={cache}"),
        *("--cache-to", f"type=local,dest={cache},mode=max,reset=true"),
    )

    assert set(second.ran) >= {COPY, COPY_FROM, DEPS, LAST}
    assert any("cannot be used" in message for message in second.warnings)
    third = build(as_root.fresh(), context, "--cache-from", f"type=local,src={cache}")
    assert (third.image, third.ran, third.warnings) == (second.image, [], [])


@pytest.mark.parametrize("name", ["index.json", "oci-layout", "config", "manifest"])
def test_a_cache_that_cannot_be_read_is_warned_of_and_left_out(
    as_root: Caller, tmp_path: Path, name: str
) -> None:
    context = as_root.context("FROM busybox\nRUN true\n")
    cache = tmp_path / "cache"
    build(as_root.fresh(), context, "--cache-to", f"type=local,dest={cache}")
    index = json.loads((cache / "index.json").read_bytes())
    manifest = blob_of(cache, index["manifests"][0]["digest"])
    config = blob_of(cache, json.loads(manifest.read_bytes())["config"]["digest"])
    {"config": config, "manifest": manifest}.get(name, cache / name).write_text("{")

    second = build(as_root.fresh(), context, "--cache-from", f"type=local,src={cache}")

    if name == "oci-layout":  # says nothing that is needed
        assert (second.ran, second.warnings) == ([], [])
    else:
        assert second.ran == ["RUN true"]
        assert len(second.warnings) == 1
        assert str(cache) in second.warnings[0]


@pytest.mark.parametrize("source", ["type=local,src={}/nothing", "type=registry,ref=127.0.0.1:9/a"])
def test_a_cache_that_is_not_there_is_warned_of(
    as_root: Caller, tmp_path: Path, source: str
) -> None:
    context = as_root.context("FROM busybox\nRUN true\n")
    done = build(as_root.fresh(), context, "--cache-from", source.format(tmp_path))
    assert done.ran == ["RUN true"]
    assert len(done.warnings) == 1


def test_several_caches_are_read_and_the_broken_one_does_not_matter(
    as_root: Caller, tmp_path: Path
) -> None:
    contexts = [
        as_root.context(f"FROM busybox AS base\nRUN echo {n} > /x\nFROM base\nRUN cat /x\n")
        for n in (1, 2)
    ]
    sources = ["--cache-from", f"type=local,src={tmp_path}/nothing"]
    for number, context in enumerate(contexts):
        cache = f"{tmp_path}/cache{number}"
        build(as_root.fresh(), context, "--cache-to", f"type=local,dest={cache}")
        sources += ["--cache-from", f"type=local,src={cache}"]
    other = as_root.fresh()
    for context in contexts:
        assert build(other, context, *sources).ran == []


def test_a_cache_that_cannot_be_written_is_an_error_of_its_own(
    as_root: Caller, tmp_path: Path
) -> None:
    context = as_root.context("FROM busybox\nRUN true\n")
    program = as_root.fresh()
    (tmp_path / "file").write_text("")
    target = f"type=local,dest={tmp_path}/file/cache"

    done = program("build", "-t", "app", "--cache-to", target, context)
    assert done.status == 4
    assert "was not written" in done.errors
    program.run("app", "true").ok()  # the image is fine
    assert build(program, context, "--cache-to", f"{target},ignore-error=true").warnings != []


@pytest.mark.parametrize("part", ["blobs", "blobs/sha256", "index.json"])
def test_nothing_is_written_through_a_link_in_the_directory(
    as_root: Caller, tmp_path: Path, part: str
) -> None:
    context = as_root.context("FROM busybox\nRUN true\n")
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "file").write_text("precious")
    cache = tmp_path / "cache"
    (cache / part).parent.mkdir(parents=True)
    target = victim / "file" if part == "index.json" else victim
    (cache / part).symlink_to(target)

    as_root.fresh()("build", "--cache-to", f"type=local,dest={cache}", context)

    assert [path.name for path in victim.iterdir()] == ["file"]
    assert (victim / "file").read_text() == "precious"


def test_no_secret_gets_into_a_cache(as_root: Caller, tmp_path: Path) -> None:
    context = as_root.context(
        "FROM busybox\n"
        "RUN --mount=type=secret,id=token wc -c < /run/secrets/token > /size\n"
        "RUN --mount=type=secret,id=other wc -c < /run/secrets/other > /size2\n"
    )
    token = tmp_path / "token"
    token.write_text("s3cr3t-value")
    cache = tmp_path / "cache"
    options = (
        "--secret",
        f"id=token,src={token}",
        "--secret",
        f"id=other,src={token},rebuild=true",
    )
    build(
        as_root.fresh(),
        context,
        *options,
        *("--cache-to", f"type=local,dest={cache},mode=max,compression=uncompressed"),
    )
    data = b"".join(path.read_bytes() for path in cache.rglob("*") if path.is_file())
    assert b"s3cr3t-value" not in data
    assert b"id=token" in data or b"token" in data
    # A mark of the secret, of no use elsewhere, stays at home with its step.
    assert b"secret other" not in data
    second = build(as_root.fresh(), context, *options, "--cache-from", f"type=local,src={cache}")
    assert [re.sub(r",.*", "", name) for name in second.ran] == ["RUN --mount=type=secret"]


WRITERS = 4


@needs_tool("docker-registry")
@pytest.mark.parametrize("kind", ["local", "registry"])
def test_writers_at_once_lose_nothing(
    as_root: Caller, tmp_path: Path, registry: DockerRegistry, kind: str
) -> None:
    place = {
        "local": f"type=local,{{}}={tmp_path}/cache",
        "registry": f"type=registry,ref={registry.host}/cache",
    }[kind]
    contexts = [as_root.context(f"FROM busybox\nRUN echo {n} > /n\n") for n in range(WRITERS)]
    writing = [
        as_root.fresh().start("build", "--cache-to", place.format("dest"), context)
        for context in contexts
    ]
    for process in writing:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors.decode()

    other = as_root.fresh()
    for context in contexts:
        assert build(other, context, "--cache-from", place.format("src")).ran == []


@needs_tool("docker-registry")
def test_an_image_is_not_replaced_by_a_cache(as_root: Caller, registry: DockerRegistry) -> None:
    context = as_root.context("FROM busybox\nRUN true\n")
    name = f"{registry.host}/app:1"
    program = as_root.fresh()
    build(program, context, "--push", name=name)
    done = program("build", "--cache-to", f"type=registry,ref={name}", context)
    assert done.status == 4
    assert "is an image" in done.errors


@pytest.mark.parametrize("compression", ["gzip", "zstd", "uncompressed"])
def test_layers_can_be_compressed_in_any_way(
    as_root: Caller, tmp_path: Path, compression: str
) -> None:
    if compression == "zstd":
        pytest.importorskip("zstandard")
    context = as_root.context(DOCKERFILE, "file a.txt text=a")
    cache = f"{tmp_path}/cache"
    target = f"type=local,dest={cache},mode=max,compression={compression}"
    first = build(as_root.fresh(), context, "--cache-to", target)
    second = build(as_root.fresh(), context, "--cache-from", f"type=local,src={cache}")
    assert (second.image, second.ran) == (first.image, [])


def test_an_export_of_what_is_there_changes_nothing(as_root: Caller, tmp_path: Path) -> None:
    context = as_root.context(DOCKERFILE, "file a.txt text=a")
    cache = tmp_path / "cache"
    program = as_root.fresh()
    target = ("--cache-to", f"type=local,dest={cache},mode=max,mounts=deps")
    build(program, context, *target)
    before = {path: path.stat().st_mtime_ns for path in cache.rglob("*") if path.is_file()}
    build(program, context, *target)
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*") if path.is_file()} == before


def test_a_layer_that_nobody_needed_is_passed_on(as_root: Caller, tmp_path: Path) -> None:
    """From one cache to another, by a machine on which nothing ran."""
    context = as_root.context(DOCKERFILE, "file a.txt text=a")
    one, two = f"{tmp_path}/one", f"{tmp_path}/two"
    first = build(as_root.fresh(), context, "--cache-to", f"type=local,dest={one},mode=max")
    build(
        as_root.fresh(),
        context,
        *("--cache-from", f"type=local,src={one}", "--cache-to", f"type=local,dest={two},mode=max"),
    )
    third = build(as_root.fresh(), context, "--cache-from", f"type=local,src={two}")
    assert (third.image, third.ran) == (first.image, [])
