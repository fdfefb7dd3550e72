"""A lowered Dockerfile as text, and the options and images of a fixture.

`python -m tests.buildkit.frontend.plans CASE...` prints the plans of cases below `fixtures/plans`.
A case has a `Dockerfile`, and perhaps an `options.toml`: options by name, and `[images.NAME]` with
what the config of a base says. Every image has one layer, unless it is said to be `empty`.
"""

import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from buildkit.frontend.bases import BaseRequest, NeedsBases
from buildkit.frontend.lower import Lowered, lower
from buildkit.frontend.options import LowerOptions, NamedContext
from buildkit.llb.graph import Vertex
from buildkit.llb.op import ExecOp, ImageOp
from buildkit.oci.config import ContainerConfig, ImageConfig, ResolvedImage
from buildkit.oci.digest import Digest
from buildkit.oci.platforms import Platform
from grammar.instructions import Dockerfile
from grammar.parser import parse
from grammar.source import Source

PLANS = Path(__file__).parents[3] / "fixtures" / "plans"
AMD64 = Platform("linux", "amd64")
DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ROUNDS = 5


def parsed(text: str) -> Dockerfile:
    """Parse a Dockerfile given as text."""
    return parse(Source("Dockerfile", text))


def image(reference: str, platform: Platform, said: Mapping[str, Any]) -> ResolvedImage:
    """Return an image; `said` has `empty`, `platform`, `author`, and fields of its config."""
    fields = dict(said)
    layers = () if fields.pop("empty", False) else (Digest.of(reference.encode()),)
    platform = Platform.parse(fields.pop("platform", str(platform)))
    author = fields.pop("author", "")
    for name, value in fields.items():
        if name == "labels":
            fields[name] = tuple(value.items())
        elif isinstance(value, list):
            fields[name] = tuple(value)
    config = ContainerConfig(**{"env": (DEFAULT_PATH,), **fields})
    return ResolvedImage(
        reference=reference,
        config_digest=Digest.of(f"config of {reference}".encode()),
        config=ImageConfig(platform=platform, author=author, config=config, diff_ids=layers),
    )


def lowered(
    dockerfile: Dockerfile,
    options: LowerOptions | None = None,
    images: Mapping[str, Mapping[str, Any]] | None = None,
) -> Lowered:
    """Lower, answering every request for an image; `images` are by familiar name."""
    known: dict[BaseRequest, ResolvedImage] = {}
    for _ in range(ROUNDS):
        result = lower(dockerfile, options or LowerOptions(build_platform=AMD64), known)
        if not isinstance(result, NeedsBases):
            return result
        for request in result.requests:
            short = request.reference.removeprefix("docker.io/library/").removesuffix(":latest")
            said = (images or {}).get(short, {})
            known[request] = image(request.reference, request.platform, said)
    raise AssertionError(f"asks for images again and again: {list(known)}")


def options_of(table: dict[str, Any]) -> LowerOptions:
    """Return the options that a TOML table says."""
    fields = dict(table)
    fields["build_platform"] = Platform.parse(fields.get("build_platform", str(AMD64)))
    if "platform" in fields:
        fields["platform"] = Platform.parse(fields["platform"])
    for name in ("labels", "add_hosts"):
        fields[name] = tuple(fields.get(name, {}).items())
    fields["allow"] = frozenset(fields.get("allow", ()))
    fields["ulimits"] = tuple(fields.get("ulimits", ()))
    contexts = fields.get("contexts", {})
    fields["contexts"] = {name: NamedContext(**context) for name, context in contexts.items()}
    return LowerOptions(**fields)


def plan_of(case: Path) -> str:
    """Return the plan of the case in the directory `case`."""
    file = case / "options.toml"
    table = tomllib.loads(file.read_text()) if file.exists() else {}
    images = table.pop("images", {})
    source = Source("Dockerfile", (case / "Dockerfile").read_text())
    return show(lowered(parse(source), options_of(table), images))


def show(result: Lowered) -> str:
    """Return everything in `result` as stable text."""
    numbers = {vertex.id: number for number, vertex in enumerate(result.graph, 1)}
    lines: list[str] = []
    for vertex in result.graph:
        lines += _vertex(vertex, numbers)
    target = "scratch" if result.target is None else f"#{numbers[result.target]}"
    lines += ["", f"target {target} {result.platform}"]
    if result.base is not None:
        lines.append(f"base {result.base.reference}")
    lines += _fields("config", result.config, ContainerConfig())
    if result.author:
        lines.append(f"author {result.author}")
    for item in result.history:
        layer = "" if item.vertex is None else f"  #{numbers[item.vertex]}"
        author = f"  by {item.author}" if item.author else ""
        lines.append(f"history {item.created_by!r}{layer}{author}")
    if result.epoch is not None:
        lines.append(f"epoch {result.epoch}")
    lines += [
        f"finding {finding.span.line}: {finding.rule}: {finding.message}"
        for finding in result.findings
    ]
    lines += [f"warning {warning}" for warning in result.warnings]
    return "\n".join(lines) + "\n"


def _vertex(vertex: Vertex, numbers: Mapping[str, int]) -> Iterator[str]:
    place = "" if vertex.lines is None else f"  @{vertex.lines[0]}-{vertex.lines[1]}"
    step = f"step {vertex.number}" if vertex.number else "source"
    yield f"#{numbers[vertex.id]} {step} {vertex.label}{place}"
    inputs = " ".join("scratch" if one is None else f"#{numbers[one]}" for one in vertex.inputs)
    if inputs:
        yield f"    inputs {inputs}"
    kind = type(vertex.op).__name__
    if isinstance(vertex.op, ImageOp):
        yield f"    {kind} {vertex.op.reference} {vertex.op.platform}"
        return
    for name, value in vertex.op._asdict().items():
        if isinstance(vertex.op, ExecOp) and (name, value) in _USUAL:
            continue
        if name == "env":
            yield from (f"    {kind}.env {key}={text}" for key, text in value)
        elif isinstance(value, tuple):
            yield from (f"    {kind}.{name} {one!r}" for one in value)
        elif value not in ("", None, False):
            yield f"    {kind}.{name} {value!r}"


_USUAL = (
    ("network", "default"), ("security", "sandbox"), ("hostname", "buildkitsandbox"),
    ("platform", "linux/amd64"), ("cwd", "/"), ("shm_size", 0),
)  # fmt: skip


def _fields(title: str, value: Any, usual: Any) -> Iterator[str]:
    for name, field in value._asdict().items():
        if field != getattr(usual, name):
            yield f"{title} {name} {field!r}"


if __name__ == "__main__":
    for name in sys.argv[1:]:
        sys.stdout.write(plan_of(PLANS / name))
