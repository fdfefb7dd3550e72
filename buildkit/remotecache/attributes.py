"""What `--cache-to type=T,KEY=VALUE,...` and `--cache-from` ask for.

In: the text of one option. Out: a `CachePlace`. Names and meanings are those of `docker buildx
build`, but for `mounts`, which is ours; a plain reference is a registry's. What is known there and
not done here is refused by name, never ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

from buildkit.errors import UsageError
from buildkit.exporter.attributes import level_of, split_fields
from buildkit.oci.digest import Digest
from buildkit.oci.media_types import Compression
from buildkit.oci.reference import Reference
from runtime.typed import get_args
from runtime.values import NamedTuple

CacheKind: TypeAlias = Literal["registry", "local", "inline"]
Mode: TypeAlias = Literal["min", "max"]
Direction: TypeAlias = Literal["from", "to"]


class CachePlace(NamedTuple):
    """A cache to be read or written.

    `reference`: of a registry's. `directory`: of a local one; `tag`: its name there; `digest`: the
    manifest to read whatever the tag says. `mode` max: all steps, also those of other stages.
    `mounts`: IDs of cache mounts that go along. `compression` None: the usual one.
    `reset`: drop what others wrote and what no manifest names any more.
    """

    kind: CacheKind
    reference: Reference | None = None
    directory: str = ""
    tag: str = "latest"
    digest: Digest | None = None
    mode: Mode = "min"
    mounts: tuple[str, ...] = ()
    compression: Compression | None = None
    level: int | None = None
    force_compression: bool = False
    docker: bool = False
    insecure: bool = False
    ignore_error: bool = False
    reset: bool = False

    @property
    def name(self) -> str:
        """What messages call it."""
        if self.reference is not None:
            return self.reference.familiar
        return self.directory or "inline"


def parse_cache(text: str, direction: Direction) -> CachePlace:
    """Return what the text of `--cache-from` or `--cache-to` asks for. Raises UsageError."""
    option = f"--cache-{direction}"
    if not text:
        raise UsageError(f"{option} without a value", hint="for example: type=local,src=DIRECTORY")
    fields = split_fields(text)
    if len(fields) == 1 and "=" not in fields[0]:
        place = CachePlace("registry", reference=_reference(option, fields[0]))
        return _checked(place, option, direction)
    pairs = []
    for field in fields:
        key, equals, value = field.partition("=")
        if not equals:
            raise UsageError(f"{field!r} in {option} {text!r} has no value", hint="write KEY=VALUE")
        pairs.append((key.strip().lower(), value))
    kinds = [value for key, value in pairs if key == "type"]
    place = CachePlace(_kind(option, kinds[-1] if kinds else "registry"))
    for key, value in pairs:
        if key != "type":
            place = _with(place, option, direction, key, value)
    return _checked(place, option, direction)


def _kind(option: str, name: str) -> CacheKind:
    for kind in get_args(CacheKind):
        if name == kind:
            return kind  # type: ignore[no-any-return]
    known = ", ".join(get_args(CacheKind))
    if name in ("gha", "s3", "azblob"):
        raise UsageError(f"{option} type={name} is not supported", hint=f"one of: {known}")
    raise UsageError(f"{option}: no cache type is called {name!r}", hint=f"one of: {known}")


def _with(place: CachePlace, option: str, direction: Direction, key: str, value: str) -> CachePlace:
    """Return `place` with one more attribute."""
    row = _SETTERS.get(key)
    if row is None:
        from difflib import get_close_matches  # for a mistake only

        close = get_close_matches(key, _SETTERS, n=1)
        hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(sorted(_SETTERS))}"
        raise UsageError(f"{option} has no attribute {key!r}", hint=hint)
    kinds, directions, setter = row
    if place.kind not in kinds:
        raise UsageError(
            f"{option} type={place.kind} has no attribute {key}",
            hint=f"it belongs to: {', '.join(sorted(kinds))}",
        )
    if direction not in directions:
        raise UsageError(
            f"{option} has no attribute {key}", hint=f"it belongs to --cache-{directions[0]}"
        )
    return setter(place, f"{option} {key}", value)


def _reference(option: str, text: str) -> Reference:
    try:
        return Reference.parse(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}", hint="as in registry.example/app:cache") from error


def _set_reference(place: CachePlace, option: str, value: str) -> CachePlace:
    return place._replace(reference=_reference(option, value))


def _set_directory(place: CachePlace, option: str, value: str) -> CachePlace:
    if not value:
        raise UsageError(f"{option} is empty", hint="name a directory")
    return place._replace(directory=value)


def _set_tag(place: CachePlace, option: str, value: str) -> CachePlace:
    # The same words as the tags of registries: a name is checked before any use (S16).
    try:
        tag = Reference.parse(f"cache:{value}").tag
    except ValueError as error:
        raise UsageError(f"{option}: {value!r} is no tag") from error
    return place._replace(tag=tag)


def _set_digest(place: CachePlace, option: str, value: str) -> CachePlace:
    try:
        return place._replace(digest=Digest.parse(value))
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from error


def _set_mode(place: CachePlace, option: str, value: str) -> CachePlace:
    match value:
        case "min" | "max":
            return place._replace(mode=value)
        case _:
            raise UsageError(f"{option}: {value!r} is neither min nor max")


def _set_mounts(place: CachePlace, option: str, value: str) -> CachePlace:
    found = tuple(one for part in value.split(";") for one in part.split(",") if one)
    if not found:
        raise UsageError(f"{option} is empty", hint="name IDs of cache mounts, as in mounts=a;b")
    return place._replace(mounts=tuple(dict.fromkeys((*place.mounts, *found))))


def _set_compression(place: CachePlace, option: str, value: str) -> CachePlace:
    known: Mapping[str, Compression] = {"gzip": "gzip", "zstd": "zstd", "uncompressed": "none"}
    if value not in known:
        raise UsageError(
            f"{option}: no compression is called {value!r}", hint=f"one of: {', '.join(known)}"
        )
    return place._replace(compression=known[value])


def _set_level(place: CachePlace, option: str, value: str) -> CachePlace:
    return place._replace(level=level_of(option, value))


def _set_oci(place: CachePlace, option: str, value: str) -> CachePlace:
    return place._replace(docker=not _truth(option, value))


def _set_manifest(place: CachePlace, option: str, value: str) -> CachePlace:
    """Change nothing: a cache is always a manifest, never an index of layers."""
    if not _truth(option, value):
        raise UsageError(f"{option}=false is not supported", hint="a cache is an image manifest")
    return place


def _flag(field: str) -> _Setter:
    def set_flag(place: CachePlace, option: str, value: str) -> CachePlace:
        return place._replace(**{field: _truth(option, value)})  # type: ignore[arg-type]

    return set_flag


def _truth(option: str, value: str) -> bool:
    if value.lower() in ("1", "t", "true"):
        return True
    if value.lower() in ("0", "f", "false"):
        return False
    raise UsageError(f"{option}: {value!r} is neither true nor false")


def _checked(place: CachePlace, option: str, direction: Direction) -> CachePlace:
    """Return `place` if its attributes go together."""
    if place.kind == "inline" and direction == "from":
        place = place._replace(kind="registry")  # where the image with the cache in it lies
    if place.kind == "inline" and place.mode == "max":
        raise UsageError(
            f"{option} type=inline has mode=min only: its layers are the image's",
            hint="type=registry,mode=max writes a cache of its own",
        )
    if place.kind == "registry" and place.reference is None:
        raise UsageError(f"{option} type=registry needs ref=NAME")
    if place.kind == "registry" and direction == "to":
        assert place.reference is not None
        if place.reference.digest is not None:
            raise UsageError(f"{option}: a digest is not given but comes out")
    if place.kind == "local" and not place.directory:
        attribute = "src" if direction == "from" else "dest"
        raise UsageError(f"{option} type=local needs {attribute}=DIRECTORY")
    limit = 22 if place.compression == "zstd" else 9
    if place.level is not None and place.level > limit:
        raise UsageError(f"{option}: compression levels of gzip go from 0 to 9, not {place.level}")
    return place


_Setter: TypeAlias = Callable[[CachePlace, str, str], CachePlace]

_BOTH: tuple[Direction, ...] = ("from", "to")
_STORED: frozenset[CacheKind] = frozenset({"registry", "local"})
_ALL: frozenset[CacheKind] = frozenset({"registry", "local", "inline"})
_REMOTE: frozenset[CacheKind] = frozenset({"registry", "inline"})
_LOCAL: frozenset[CacheKind] = frozenset({"local"})

_SETTERS: Mapping[str, tuple[frozenset[CacheKind], tuple[Direction, ...], _Setter]] = {
    "ref": (_REMOTE, _BOTH, _set_reference),
    "registry.insecure": (_REMOTE, _BOTH, _flag("insecure")),
    "src": (_LOCAL, ("from",), _set_directory),
    "dest": (_LOCAL, ("to",), _set_directory),
    "tag": (_LOCAL, _BOTH, _set_tag),
    "digest": (_LOCAL, ("from",), _set_digest),
    "mode": (_ALL, ("to",), _set_mode),
    "mounts": (_STORED, _BOTH, _set_mounts),
    "compression": (_STORED, ("to",), _set_compression),
    "compression-level": (_STORED, ("to",), _set_level),
    "force-compression": (_STORED, ("to",), _flag("force_compression")),
    "oci-mediatypes": (_STORED, ("to",), _set_oci),
    "image-manifest": (_STORED, ("to",), _set_manifest),
    "ignore-error": (_ALL, ("to",), _flag("ignore_error")),
    "reset": (_STORED, ("to",), _flag("reset")),
}
