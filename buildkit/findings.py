"""What lint has to say during a build, remembered from build to build.

In: a Dockerfile and what was found while it was lowered. Out: lines to show, and whether the build
is to fail for them (`# check=error=true`). Importing 40 rules takes 15 ms, so a cached build reads
what an earlier one was told, under a key made of all that goes in: text, settings, the other
findings, and the rules themselves.
"""

from __future__ import annotations

import json
import os

import grammar.lint
from buildkit.oci.digest import sha256_of
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from buildkit.frontend.findings import Finding
    from buildkit.state.root import StateRoot
    from grammar.instructions import Dockerfile


CHECK_ARG = "BUILDKIT_DOCKERFILE_CHECK"
"""The build argument that stands in for the check directive."""

_FOLDER = "lint"
_KEPT = 256
"""Files in the folder; when there are more, the oldest go."""


class Told(NamedTuple):
    """`lines`: a finding a line. `violated`: the message to fail with, empty if there is none."""

    lines: tuple[str, ...]
    violated: str


def tell(
    dockerfile: Dockerfile, others: Iterable[Finding], override: str | None, root: StateRoot
) -> Told:
    """Return what there is to say about `dockerfile`. Raises DockerfileError for a bad setting."""
    others = tuple(others)
    folder = root.path(_FOLDER)
    path = f"{folder}/{_key(dockerfile, others, override)}"
    try:
        with open(path, encoding="utf-8") as file:
            lines, violated = json.load(file)
            return Told(tuple(map(str, lines)), str(violated))
    except (OSError, ValueError, TypeError):
        told = _looked(dockerfile, others, override)
        _remember(folder, path, told)
        return told


def _looked(dockerfile: Dockerfile, others: Iterable[Finding], override: str | None) -> Told:
    """Run the rules. What is only advice is for `pybuild check`, not for every build."""
    from grammar.lint.check import lint, violated  # 40 modules: only when nothing is remembered
    from grammar.lint.selection import selection_for
    from grammar.lint.table import RULES

    selection = selection_for(dockerfile, override)
    findings = [
        finding
        for finding in lint(dockerfile, selection, others)
        if RULES[finding.rule].kind != "advice"
    ]
    message = violated(findings) if selection.error else ""
    return Told(tuple(map(str, findings)), message)


def _key(dockerfile: Dockerfile, others: tuple[Finding, ...], override: str | None) -> str:
    parts = (dockerfile.source.text, override, others, _edition())
    return sha256_of(repr(parts).encode("utf-8", "surrogatepass")).hexdigest()


def _edition() -> tuple[tuple[str, int, int], ...]:
    """Return what changes when one of the rules does."""
    found: list[tuple[str, int, int]] = []
    for package in grammar.lint.__path__:
        for folder in (package, f"{package}/rules"):
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name.endswith(".py"):
                        seen = entry.stat()
                        found.append((entry.name, seen.st_mtime_ns, seen.st_size))
    return tuple(sorted(found))


def _remember(folder: str, path: str, told: Told) -> None:
    """Keep `told`; a store that cannot be written to costs time and nothing else."""
    from buildkit.state import notes  # for a Dockerfile that is new

    try:
        os.makedirs(folder, 0o700, exist_ok=True)
        _make_room(folder)
    except OSError:
        return
    notes.keep(path, json.dumps(told).encode())


def _make_room(folder: str) -> None:
    with os.scandir(folder) as entries:
        files = [(entry.stat().st_mtime_ns, entry.path) for entry in entries]
    for _, path in sorted(files)[: max(len(files) - _KEPT + 1, 0)]:
        os.unlink(path)
