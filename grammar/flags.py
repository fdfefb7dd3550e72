"""The values of `RUN --mount`.

In: the flag's value and, for the time of the build, how to expand a word. Out: a `RunMount`.
Document: docs/dockerfile.md, 10.5. A record is split before its values are expanded, so a
variable cannot bring in further keys.
"""

from __future__ import annotations

import posixpath

from grammar.errors import FlagError, quote
from grammar.nearest import did_you_mean
from grammar.values import parse_bool, parse_size, parse_unsigned
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from grammar.source import Span


_TYPES = ("bind", "cache", "tmpfs", "secret", "ssh")
_SHARING = ("shared", "private", "locked")
_ALIASES = {
    "src": "source",
    "dst": "target",
    "destination": "target",
    "ro": "readonly",
    "rw": "readwrite",
}
_KEYS = (
    "type", "from", "source", "target", "readonly", "readwrite", "id", "sharing", "required",
    "mode", "uid", "gid", "size", "env",
)  # fmt: skip
_ONLY_FOR = {"required": ("secret", "ssh"), "size": ("tmpfs",), "env": ("secret",)}
_OWNED = ("secret", "ssh", "cache")
"""Types whose files have a mode and an owner of their own."""


class BindMount(NamedTuple):
    """Files of `origin`: a stage, context or image; None is the build context.

    What is written to one that is not `readonly` is dropped after the step.
    """

    target: str
    source: str
    origin: str | None
    readonly: bool
    span: Span


class CacheMount(NamedTuple):
    """A directory that persists between builds; `origin` and `source` give its first content."""

    target: str
    source: str
    origin: str | None
    readonly: bool
    id: str
    sharing: str
    mode: int
    uid: int
    gid: int
    span: Span


class TmpfsMount(NamedTuple):
    """An empty directory in memory; `size` in bytes, None for unlimited."""

    target: str
    readonly: bool
    size: int | None
    span: Span


class SecretMount(NamedTuple):
    """A secret as a file at `target`, in the variable `env`, or both; None is not."""

    id: str
    target: str | None
    env: str | None
    required: bool
    mode: int
    uid: int
    gid: int
    span: Span


class SshMount(NamedTuple):
    """An agent's socket; without a `target`, at `/run/buildkit/ssh_agent.N`."""

    id: str
    target: str | None
    required: bool
    mode: int
    uid: int
    gid: int
    span: Span


RunMount: TypeAlias = BindMount | CacheMount | TmpfsMount | SecretMount | SshMount


class _Options:
    """What a record says so far. Options not given are None."""

    def __init__(self) -> None:
        self.type = "bind"
        self.texts: dict[str, str] = {}
        self.readonly: bool | None = None
        self.required = False
        self.size: int | None = None
        self.numbers: dict[str, int] = {}

    def set(self, key: str, value: str, field: str) -> None:
        """Take over one `key=value` of the record; `field` is how it was written."""
        name = _ALIASES.get(key, key)
        if name not in _KEYS:
            suggestion = did_you_mean(key, (*_KEYS, *_ALIASES))
            raise FlagError(f"unexpected key '{key}' in '{field}'{suggestion}")
        self.must_allow(name, key)
        if name == "type":
            self.type = _one_of(value, _TYPES, "unsupported mount type")
        elif name == "sharing":
            self.texts[name] = _one_of(value, _SHARING, "unsupported sharing value")
        elif name in ("mode", "uid", "gid"):
            self.numbers[name] = _number(name, value)
        elif name in ("readonly", "readwrite", "required"):
            self.switch(name, is_on=_boolean(key, value))
        elif name == "size":
            self.size = _size(value)
        else:
            self.texts[name] = value

    def switch(self, name: str, *, is_on: bool) -> None:
        """Set one of the options that are true or false."""
        if name == "required":
            self.required = is_on
        else:
            self.readonly = is_on == (name == "readonly")

    def must_allow(self, name: str, key: str) -> None:
        """Refuse an option that the type read so far has not."""
        if name in _ONLY_FOR and self.type not in _ONLY_FOR[name]:
            raise FlagError(f"unexpected key '{key}' for mount type '{self.type}'")

    def check(self) -> None:
        """Refuse what does not go together."""
        for name in self.numbers:
            if self.type not in _OWNED:
                raise FlagError(f'{name} not allowed for "{self.type}" type mounts')
        if self.type == "secret":
            self.check_secret()
        if self.type == "ssh" and "source" in self.texts:
            raise FlagError("ssh does not support source")
        if "sharing" in self.texts and self.type != "cache":
            raise FlagError(f"invalid cache sharing set for {self.type} mount")

    def check_secret(self) -> None:
        """Refuse what a secret cannot have."""
        if self.text("from"):
            raise FlagError("secret mount should not have a from")
        if "sharing" in self.texts:
            raise FlagError("secret mount should not define sharing")
        if not (self.text("source") or self.text("target") or self.text("id")):
            raise FlagError("invalid secret mount. one of source, target required")
        if self.text("source") and self.text("id"):
            raise FlagError("both source and id can't be set")

    def text(self, name: str) -> str | None:
        """Return an option's text; an empty one is none."""
        return self.texts.get(name) or None


def parse_run_mount(text: str, span: Span, expand: Callable[[str], str] = str) -> RunMount:
    """Return the mount that `text` describes, with every default filled in.

    `expand` is applied to each value. A relative or empty target is the caller's to join with the
    working directory. Raises FlagError, placed at `span`.
    """
    options = _Options()
    try:
        for field in _record(text):
            key, equals, value = field.partition("=")
            key = key.lower()
            if equals:
                options.set(key, expand(value), field)
            elif (name := _ALIASES.get(key, key)) in ("readonly", "readwrite", "required"):
                options.must_allow(name, key)
                options.switch(name, is_on=True)
            else:
                raise FlagError(f"invalid field '{field}' must be a key=value pair")
        options.check()
    except FlagError as error:
        raise error.at(span) from None
    return _mount(options, span)


def check_run_mount(text: str, span: Span) -> None:
    """Refuse what can be seen to be wrong before variables are known. Raises FlagError."""
    try:
        fields = _record(text)
    except FlagError as error:
        raise error.at(span) from None
    for field in fields:
        key, _, value = field.partition("=")
        if key.lower() == "from" and "$" in value[:-1]:
            raise FlagError(
                "'from' doesn't support variable expansion, define alias stage instead", span=span
            )


def _mount(options: _Options, span: Span) -> RunMount:
    target, numbers = options.text("target"), options.numbers
    source = options.text("source") or "/"
    if options.type == "bind":
        readonly = options.readonly is not False
        return BindMount(target or "", source, options.text("from"), readonly, span)
    if options.type == "tmpfs":
        return TmpfsMount(target or "", options.readonly is True, options.size, span)
    if options.type == "cache":
        return CacheMount(
            target=target or "",
            source=source,
            origin=options.text("from"),
            readonly=options.readonly is True,
            id=options.text("id") or _clean(target or ""),
            sharing=options.text("sharing") or "shared",
            mode=numbers.get("mode", 0o755),
            uid=numbers.get("uid", 0),
            gid=numbers.get("gid", 0),
            span=span,
        )
    if options.type == "ssh":
        return SshMount(
            id=options.text("id") or "default",
            target=target,
            required=options.required,
            mode=numbers.get("mode", 0o600),
            uid=numbers.get("uid", 0),
            gid=numbers.get("gid", 0),
            span=span,
        )
    return _secret(options, target, span)


def _secret(options: _Options, target: str | None, span: Span) -> SecretMount:
    name = options.text("source") or options.text("id") or posixpath.basename(_clean(target or ""))
    env = options.text("env")
    if target is None and env is None:
        target = f"/run/secrets/{posixpath.basename(_clean(name))}"
    return SecretMount(
        id=name,
        target=target,
        env=env,
        required=options.required,
        mode=options.numbers.get("mode", 0o400),
        uid=options.numbers.get("uid", 0),
        gid=options.numbers.get("gid", 0),
        span=span,
    )


def _clean(path: str) -> str:
    """Return the shortest form of `path`, as Go's path.Clean does."""
    cleaned = posixpath.normpath(path)
    return cleaned[1:] if cleaned.startswith("//") else cleaned


def _one_of(value: str, options: tuple[str, ...], complaint: str) -> str:
    if value.lower() not in options:
        raise FlagError(f"{complaint} {quote(value)}{did_you_mean(value, options)}")
    return value.lower()


def _number(name: str, value: str) -> int:
    try:
        return parse_unsigned(value, 8 if name == "mode" else 10)
    except FlagError:
        raise FlagError(f"invalid value {value} for {name}") from None


def _boolean(key: str, value: str) -> bool:
    try:
        return parse_bool(value)
    except FlagError:
        raise FlagError(f"invalid value for {key}: {value}") from None


def _size(value: str) -> int:
    try:
        return parse_size(value)
    except FlagError:
        raise FlagError(f"invalid value for size: {value}") from None


def _record(text: str) -> list[str]:
    """Return the fields of a record of comma-separated values."""
    if text and '"' not in text:
        return text.split(",")
    from grammar.comma_separated import split_record  # for quotes, and for a mistake

    try:
        return split_record(text)
    except ValueError as error:
        raise FlagError(f"failed to parse csv mounts: {error}") from None
