"""What is run again when something has changed: `fixtures/rebuilds/<case>/`.

Dockerfile      what is built first
context.txt     what is in the context, as tests/trees.py writes trees; may be missing
builds.toml     the builds that follow, each on what the ones before it left:
    what        what is new
    dockerfile, write, remove, chmod, touch    changes of the context
    options     of the command line
    ran         the steps that must run, and no other, in any order
    same        whether the image is the first one
"""

import json
import os
import tomllib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.callers import BASE, Caller, pairs
from tests.program import TOP, Pybuild

FOLDER = TOP / "fixtures/rebuilds"
CASES = sorted(path.name for path in FOLDER.iterdir())
LONG_AGO = 1_000_000_000


class Built(NamedTuple):
    """What a build did: its image, and the steps that ran and that did not."""

    image: str
    ran: list[str]
    cached: list[str]


@pytest.mark.parametrize(
    ("caller", "case"),
    pairs(CASES, ("early-cutoff-in-a-stage", "no-cache", "not-in-the-key", "nothing-new")),
    indirect=["caller"],
)
def test_only_what_has_to_run_runs(caller: Caller, case: str) -> None:
    folder = FOLDER / case
    lines = folder / "context.txt"
    context = caller.context(
        (folder / "Dockerfile").read_text(),
        *(lines.read_text().splitlines() if lines.exists() else ()),
    )
    program = caller.fresh()
    first = build(program, context)
    for change in tomllib.loads((folder / "builds.toml").read_text())["build"]:
        caller.perform(partial(apply, context, change))
        options = [
            option.replace("{context}", str(context)) for option in change.get("options", [])
        ]
        done = build(program, context, *options)
        told = (change["what"], sorted(done.ran), done.image == first.image)
        assert told == (change["what"], sorted(change["ran"]), change["same"])


def test_a_new_base_image_runs_everything(as_root: Caller) -> None:
    program = as_root.fresh()
    context = as_root.context("FROM base\nCOPY a.txt /\nRUN true\n", "file a.txt text=a")
    program("tag", BASE, "base").ok()
    assert build(program, context).ran == ["COPY a.txt /", "RUN true"]

    other = as_root.context("FROM busybox\nRUN echo new > /new\n")
    program.build(other, name="base").ok()

    assert build(program, context).ran == ["COPY a.txt /", "RUN true"]
    program("tag", BASE, "base").ok()
    assert build(program, context).ran == []


def test_a_cached_build_leaves_the_store_as_it_was(as_root: Caller) -> None:
    program = as_root.fresh()
    context = as_root.context("FROM busybox\nCOPY a.txt /\nRUN echo x > /x\n", "file a.txt text=a")
    build(program, context)
    build(program, context)
    before = usage(program.root)
    for _ in range(5):
        assert build(program, context).ran == []
    assert usage(program.root) == before


def build(program: Pybuild, context: Path, *options: str) -> Built:
    """Build and tell what ran."""
    done = program("build", "--progress", "rawjson", *options, context).ok()
    image, ran, cached = "", [], []
    for line in done.errors.splitlines():
        event = json.loads(line)
        if event["event"] == "note" and event["message"].startswith("image "):
            image = event["message"].removeprefix("image ")
        elif event["event"] == "step-done":
            ran.append(event["name"].partition("] ")[2])
        elif event["event"] == "step-cached":
            cached.append(event["name"].partition("] ")[2])
    return Built(image, ran, cached)


def apply(context: Path, change: Mapping[str, Any]) -> None:
    """Change what is in a context."""
    if "dockerfile" in change:
        (context / "Dockerfile").write_text(change["dockerfile"])
    for name in change.get("remove", []):
        (context / name).unlink()
    for name, text in change.get("write", {}).items():
        (context / name).write_text(text)
    for name, mode in change.get("chmod", {}).items():
        (context / name).chmod(int(mode, 8))
    for name in change.get("touch", []):
        os.utime(context / name, (LONG_AGO, LONG_AGO))


def usage(root: Path) -> set[str]:
    """Return what is in the parts of a store that may grow with content."""
    parts = ("blobs", "layers", "caches", "tmp", "leases")
    return {str(path) for part in parts for path in (root / part).rglob("*")}
