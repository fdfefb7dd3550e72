"""Why a step is not the one of last time: two key documents to reasons in the user's words.

In: the key document of then and of now, and the per-file manifests of what they selected. Out: a
list of reasons, most telling first: `src/a.py changed`, `ARG VERSION 1.2 -> 1.3`,
`base debian:bookworm moved from sha256:0a.. to sha256:1b..`. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from buildkit.cache import manifest
from buildkit.oci.reference import Reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from typing import Any, TypeAlias


PARENT_CHANGED = "parent step changed"
FILES_SHOWN = 5
_WIDTH = 60

Manifests: TypeAlias = "Callable[[str], bytes | None]"
"""Gives the manifest that belongs to a digest, or None."""

_PHRASES: Mapping[str, Mapping[str, str]] = {
    "exec": {
        "cwd": "WORKDIR",
        "user": "USER",
        "network": "network",
        "security": "security mode",
        "platform": "platform",
        "hostname": "hostname",
    },
    "copy": {
        "dest": "destination",
        "chown": "--chown",
        "chmod": "--chmod",
        "exclude": "--exclude",
        "parents": "--parents",
        "link": "--link",
        "unpack": "unpacking",
        "keep_owner": "keeping owners",
    },
    "mkdir": {"path": "WORKDIR", "user": "USER"},
    "image": {"platform": "platform"},
    "context": {"name": "context"},
    "http": {"url": "URL", "filename": "file name", "checksum": "--checksum"},
    "git": {
        "remote": "repository",
        "ref": "ref",
        "subdir": "subdirectory",
        "keep_git_dir": "--keep-git-dir",
        "submodules": "submodules",
        "checksum": "--checksum",
    },
}
"""How a field is called that simply has another value; fields missing here keep their own name."""


def explain(
    old: str,
    new: str,
    manifests: Manifests = lambda _: None,
    *,
    arguments: Collection[str] = (),
) -> list[str]:
    """Return why key document `new` is not `old`; empty when they are the same.

    `arguments`: the names declared with ARG; other variables are told as ENV. A document that
    cannot be read gives one reason that says so.
    """
    if old == new:
        return []
    try:
        before, after = json.loads(old), json.loads(new)
        reasons = _compare(before, after, manifests, arguments)
    except (ValueError, KeyError, TypeError, AttributeError):
        return ["the earlier record cannot be read"]
    return reasons or ["another key, for no reason that is known"]


def below_of(document: str) -> str | None:
    """Return what the step of a key document stood on, None for nothing."""
    try:
        first = json.loads(document)["inputs"][0]
    except (ValueError, KeyError, TypeError, IndexError):
        return None
    return first if isinstance(first, str) else None


def _compare(
    old: dict[str, Any], new: dict[str, Any], manifests: Manifests, arguments: Collection[str]
) -> list[str]:
    if old["version"] != new["version"]:
        return [f"cache key format {old['version']} -> {new['version']}"]
    was, now = old["op"], new["op"]
    if was["type"] != now["type"]:
        return ["another kind of instruction"]
    return [
        *_op_reasons(was, now, arguments),
        *_input_reasons(*_of_both(old, new), now["type"], manifests),
        *_part_reasons(old["parts"], new["parts"]),
    ]


def _of_both(old: dict[str, Any], new: dict[str, Any]) -> tuple[list[Any], list[Any]]:
    """Return the inputs of two steps, without what mounts show that came or went: that is told."""
    was, now = old["inputs"], new["inputs"]
    if old["op"].get("mounts") == new["op"].get("mounts"):
        return was, now
    shown = [{path for one in side if isinstance(one, dict) for path in one} for side in (was, now)]
    both = shown[0] & shown[1]
    kept = [
        [
            {path: one[path] for path in one if path in both} if isinstance(one, dict) else one
            for one in side
        ]
        for side in (was, now)
    ]
    return kept[0], kept[1]


def _op_reasons(was: dict[str, Any], now: dict[str, Any], arguments: Collection[str]) -> list[str]:
    """Return what differs between two ops of one type."""
    kind: str = now["type"]
    reasons: list[str] = []
    told = {"type"}
    if kind == "exec":
        reasons += _command(was, now)
        reasons += _variables(dict(was["env"]), dict(now["env"]), arguments)
        reasons += _mounts(was["mounts"], now["mounts"])
        told |= {"args", "script", "env", "mounts"}
    elif kind == "copy":
        reasons += _sources(was["sources"], now["sources"])
        told |= {"sources"}
    elif kind == "image":
        reasons += _base(was, now)
        told |= {"reference", "config", "diff_ids"}
    phrases = _PHRASES.get(kind, {})
    for field in sorted({*was, *now} - told):
        if was.get(field) != now.get(field):
            label = phrases.get(field, field.replace("_", " "))
            reasons.append(f"{label} {_change(was.get(field), now.get(field))}")
    return reasons


def _command(was: dict[str, Any], now: dict[str, Any]) -> list[str]:
    before, after = was["args"], now["args"]
    if before == after and was["script"] == now["script"]:
        return []
    if len(before) == len(after) > 1 and before[-1] == after[-1] and before != after:
        return [f"SHELL {_change(' '.join(before[:-1]), ' '.join(after[:-1]))}"]
    return ["command changed"]


def _variables(was: dict[str, str], now: dict[str, str], arguments: Collection[str]) -> list[str]:
    reasons = []
    for name in sorted({*was, *now}):
        word = "ARG" if name in arguments else "ENV"
        if name not in was:
            reasons.append(f"added {word} {name}={_short(now[name])}")
        elif name not in now:
            reasons.append(f"removed {word} {name}")
        elif was[name] != now[name]:
            reasons.append(f"{word} {name} {_change(was[name], now[name])}")
    return reasons


def _mounts(was: list[dict[str, Any]], now: list[dict[str, Any]]) -> list[str]:
    if was == now:
        return []
    before, after = (
        {f"{one['type']} mount at {one['target'] or one.get('env', '')}": one for one in mounts}
        for mounts in (was, now)
    )
    reasons = [f"added {name}" for name in after if name not in before]
    reasons += [f"removed {name}" for name in before if name not in after]
    for name, mount in after.items():
        if name in before and before[name] != mount:
            fields = [field for field in sorted(mount) if mount[field] != before[name].get(field)]
            reasons.append(f"{' and '.join(fields)} of {name} changed")
    return reasons or ["order of mounts changed"]


def _sources(was: list[dict[str, Any]], now: list[dict[str, Any]]) -> list[str]:
    if was == now:
        return []
    before, after = (
        {one["name"]: one["content"] for one in sources if one["type"] == "inline"}
        for sources in (was, now)
    )
    reasons = [
        f"heredoc {name} changed"
        for name in after
        if name in before and before[name] != after[name]
    ]
    paths = [[str(one.get("path", one.get("name"))) for one in sources] for sources in (was, now)]
    if paths[0] != paths[1]:
        reasons.append(f"sources {_change(' '.join(paths[0]), ' '.join(paths[1]))}")
    return reasons or ["sources come from elsewhere"]


def _base(was: dict[str, Any], now: dict[str, Any]) -> list[str]:
    before, name = _familiar(was["reference"]), _familiar(now["reference"])
    if before != name:
        return [f"base {_change(before, name)}"]
    if was["config"] != now["config"]:
        return [f"base {name} moved from {was['config']} to {now['config']}"]
    if was["diff_ids"] != now["diff_ids"]:
        return [f"layers of base {name} changed"]
    return []


def _familiar(reference: str) -> str:
    """Return a reference in the form in which people write it."""
    try:
        return Reference.parse(reference).familiar
    except ValueError:  # an image layout, or an ID
        return reference


def _input_reasons(was: list[Any], now: list[Any], kind: str, manifests: Manifests) -> list[str]:
    """Return what differs in the inputs; what stands under the step comes last."""
    reasons: list[str] = []
    parent: list[str] = []
    for position in range(max(len(was), len(now))):
        before = was[position] if position < len(was) else None
        after = now[position] if position < len(now) else None
        if before == after:
            continue
        if position == 0 and kind in ("exec", "copy", "mkdir"):
            parent = [PARENT_CHANGED]
        elif isinstance(before, dict) or isinstance(after, dict):
            reasons += _paths(before or {}, after or {}, manifests)
        else:
            reasons += _files(before, after, manifests) or ["copied files changed"]
    return [*reasons, *parent]


def _paths(was: dict[str, str], now: dict[str, str], manifests: Manifests) -> list[str]:
    reasons = []
    for path in sorted({*was, *now}):
        before, after = was.get(path), now.get(path)
        if before != after:
            reasons += _files(before, after, manifests) or [f"content of {path} changed"]
    return reasons


def _files(old: str | None, new: str | None, manifests: Manifests) -> list[str]:
    """Return the files that differ between two selections; empty when that is not known."""
    before, after = manifests(old) if old else None, manifests(new) if new else None
    if before is None or after is None:
        return []
    changes = manifest.differences(before, after)
    reasons = [reason for pair in changes.values() for reason in _file(*pair)]
    if len(reasons) > FILES_SHOWN:
        more = len(reasons) - FILES_SHOWN
        reasons = [*reasons[:FILES_SHOWN], f"and {more} more"]
    return reasons


def _file(old: manifest.FileState | None, new: manifest.FileState | None) -> list[str]:
    """Return what happened to one file."""
    if old is None:
        return [f"added {new.path}"] if new else []
    if new is None:
        return [f"removed {old.path}"]
    path = new.path
    if old.kind != new.kind:
        return [f"{path} was a {old.kind} and is a {new.kind}"]
    reasons = []
    if old.content != new.content:
        if new.kind == "link":
            reasons.append(f"link {path} {_change(old.content, new.content)}")
        else:
            reasons.append(f"{path} changed")
    if old.mode != new.mode:
        reasons.append(f"mode of {path} {old.mode:04o} -> {new.mode:04o}")
    if (old.uid, old.gid) != (new.uid, new.gid):
        reasons.append(f"owner of {path} {old.uid}:{old.gid} -> {new.uid}:{new.gid}")
    if old.xattrs != new.xattrs:
        reasons.append(f"extended attributes of {path} changed")
    return reasons + _hard_link(old, new)


def _hard_link(old: manifest.FileState, new: manifest.FileState) -> list[str]:
    if old.same == new.same:
        return []
    if new.same:
        return [f"{new.path} is a hard link of {new.same} now"]
    return [f"{new.path} is no hard link of {old.same} any more"]


def _part_reasons(was: dict[str, Any], now: dict[str, Any]) -> list[str]:
    reasons = []
    for name in sorted({*was, *now}):
        before, after = was.get(name), now.get(name)
        if before == after:
            continue
        if isinstance(before, str) and isinstance(after, str) and len(before + after) < _WIDTH:
            reasons.append(f"{name} {_change(before, after)}")
        else:
            reasons.append(f"{name} changed")
    return reasons


def _change(old: object, new: object) -> str:
    return f"{_short(old)} -> {_short(new)}"


def _short(value: object) -> str:
    """Return `value` as a few words."""
    match value:
        case None | "" | []:
            return "(none)"
        case bool():
            return "yes" if value else "no"
        case str():
            text = value
        case _ if isinstance(value, Sequence):
            text = " ".join(map(str, value))
        case _:
            text = str(value)
    return text if len(text) <= _WIDTH else text[: _WIDTH - 3] + "..."
