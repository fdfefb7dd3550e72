"""`pybuild du --filter`: which things of the store are looked at.

In: the texts of the option, as `docker buildx du` and `buildctl du` take them: `KEY=VALUE`, with
`==` as well, `~=` for a regular expression and `!=`; a key alone for what is true or not. Out: a
predicate of a type and an entry. All filters hold at once, several of one `type` or `id` by choice.
Source: `adaptUsageInfo` of Moby BuildKit's cache/manager.go; containerd's filters.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from buildkit.cli.moments import seconds_of
from buildkit.cli.prune import TYPES
from buildkit.errors import UsageError
from buildkit.usage import KINDS, Entry

Test = Callable[[str, Entry], bool]

_NAMES: Mapping[str, str] = {kind.replace(" ", "-"): kind for kind in KINDS} | dict(TYPES)
_MUTABLE = frozenset({"cache", "container", "context", "database", "log", "volume"})
"""What changes in place; all else is another thing with another ID when it is different."""

_TRUTHS: Mapping[str, Test] = {
    "inuse": lambda _kind, entry: entry.active,
    "shared": lambda _kind, entry: entry.shared > 0,
    "private": lambda _kind, entry: not entry.shared,
    "mutable": lambda kind, _entry: kind in _MUTABLE,
    "immutable": lambda kind, _entry: kind not in _MUTABLE,
}
_HINT = (
    "there are type=TYPE, id=ID, description=TEXT, until=TIME, and inuse, shared, private, mutable,"
    " immutable"
)
_FORM = re.compile(r"([a-z]+)(?:(==|~=|!=|=)(.*))?", re.DOTALL)
_COMMA = re.compile(r",(?=[a-z]+(?:[=!~]|,|$))")
"""Between two filters; a comma of a text is none."""


def predicate(texts: Sequence[str]) -> Test:
    """Return what says whether an entry of a type is wanted. Raises UsageError."""
    chosen: dict[str, list[Test]] = {"type": [], "id": []}
    all_of: list[Test] = []
    for text in (part for one in texts for part in _COMMA.split(one)):
        found = _FORM.fullmatch(text)
        if found is None:
            raise UsageError(f"not a filter: {text!r}", hint=_HINT)
        key, sign, value = found[1], found[2] or "", found[3] or ""
        test = _test(text, key, sign, value)
        if key in chosen and sign != "!=":
            chosen[key].append(test)
        else:
            all_of.append(test)

    def wanted(kind: str, entry: Entry) -> bool:
        return all(test(kind, entry) for test in all_of) and all(
            any(test(kind, entry) for test in tests) for tests in chosen.values() if tests
        )

    return wanted


def _test(text: str, key: str, sign: str, value: str) -> Test:
    if key in _TRUTHS and sign in ("", "=", "==") and value in ("", "true", "1", "false", "0"):
        return _negated(_TRUTHS[key]) if value in ("false", "0") else _TRUTHS[key]
    if key == "until" and sign in ("=", "==") and value:
        before = seconds_of(value)
        return lambda _kind, entry: entry.used <= before
    if not sign or not value or key not in ("type", "id", "description"):
        raise UsageError(f"not a filter: {text!r}", hint=_HINT)
    test = _pattern(text, key, value) if sign == "~=" else _equal(text, key, value)
    return _negated(test) if sign == "!=" else test


def _equal(text: str, key: str, value: str) -> Test:
    if key == "type":
        if value not in _NAMES:
            hint = f"type=TYPE, of {', '.join(sorted(_NAMES))}"
            raise UsageError(f"not a filter: {text!r}", hint=hint)
        return lambda kind, _entry: kind == _NAMES[value]
    if key == "id":
        beginning = value.removeprefix("sha256:")
        return lambda _kind, entry: entry.name.removeprefix("sha256:").startswith(beginning)
    return lambda _kind, entry: value in entry.description


def _pattern(text: str, key: str, value: str) -> Test:
    try:
        pattern = re.compile(value)
    except re.error as error:
        raise UsageError(f"not a filter: {text!r}", hint=f"regular expression: {error}") from error
    if key == "type":
        return lambda kind, _entry: pattern.search(kind) is not None
    if key == "id":
        return lambda _kind, entry: pattern.search(entry.name) is not None
    return lambda _kind, entry: pattern.search(entry.description) is not None


def _negated(test: Test) -> Test:
    return lambda kind, entry: not test(kind, entry)
