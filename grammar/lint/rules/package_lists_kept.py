"""PackageListsKept: the lists or caches of a package manager stay in the layer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from grammar.instructions import Dockerfile, Run
from grammar.lint.commands import Command, commands_of
from grammar.lint.finding import Finding
from grammar.lint.rule import Rule
from grammar.lint.walk import walk

_APT = "/var/lib/apt"
_APT_USES = frozenset(("install", "upgrade", "dist-upgrade", "full-upgrade", "build-dep"))
_CLEANING = {"dnf": "/var/cache/dnf", "microdnf": "/var/cache/yum", "yum": "/var/cache/yum"}


def check(dockerfile: Dockerfile) -> Iterator[Finding]:
    """Look at RUNs that install and do not clean up; a cache mount there is as good."""
    for seen in walk(dockerfile):
        run = seen.instruction
        if not isinstance(run, Run):
            continue
        found = commands_of(seen)
        if message := _apt(run, found) or _apk(run, found) or _rpm(run, found):
            yield RULE.finding(message, run.span, run.command.span)


def _apt(run: Run, found: Sequence[Command]) -> str:
    names = ("apt", "apt-get")
    installs = any(one.name in names and _APT_USES & {*one.arguments} for one in found)
    updates = any(one.name in names and "update" in one.arguments for one in found)
    if not installs or not updates or _removes(found, _APT) or _mounts(run, _APT):
        return ""
    return f"Package lists stay in the layer: remove {_APT}/lists/* in the same step"


def _apk(run: Run, found: Sequence[Command]) -> str:
    adds = [one for one in found if one.name == "apk" and "add" in one.arguments]
    if not adds or all(one.has("--no-cache") for one in adds):
        return ""
    if _removes(found, "/var/cache/apk") or _mounts(run, "/var/cache/apk", "/etc/apk/cache"):
        return ""
    return "Package lists stay in the layer: add with 'apk add --no-cache'"


def _rpm(run: Run, found: Sequence[Command]) -> str:
    for name, cache in _CLEANING.items():
        own = [one for one in found if one.name == name]
        if not any("install" in one.arguments for one in own):
            continue
        cleaned = any("clean" in one.arguments for one in own)
        if not cleaned and not _removes(found, cache) and not _mounts(run, cache):
            return f"The package cache stays in the layer: run '{name} clean all' in the same step"
    return ""


def _removes(found: Sequence[Command], place: str) -> bool:
    return any(
        one.name == "rm" and any(word.startswith(place) for word in one.arguments) for one in found
    )


def _mounts(run: Run, *places: str) -> bool:
    return any(place in mount.text for mount in run.mounts for place in places)


RULE = Rule(
    "PackageListsKept",
    "What a package manager leaves behind makes the layer larger",
    "advice",
    check,
)
