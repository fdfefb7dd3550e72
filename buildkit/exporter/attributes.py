"""What `-o type=T,KEY=VALUE,...` asks for.

In: the text of one option. Out: an `Output`. Names and meanings are those of `docker buildx build
--output`; fields may be quoted as in CSV, so that a value can hold commas. What is known there
and not done here is refused by name, never ignored.
"""

from __future__ import annotations

from buildkit.errors import UsageError
from buildkit.oci.reference import Reference, name_to_give
from runtime.typed import Literal, get_args
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeAlias

    from buildkit.exporter.annotations import Annotation
    from buildkit.oci.media_types import Compression

OutputKind: TypeAlias = Literal["image", "registry", "oci", "docker", "local", "tar", "cacheonly"]

STDOUT = "-"
QUOTES_HINT = 'quotes are around a whole field, as in "dest=a,b"; one in it is written twice'


class Output(NamedTuple):
    """One output of a build.

    `dest` is a path, `-` for standard output, or empty: the local store. `names` are those of
    the attribute alone, without `-t`. `compression` None means the output's usual one;
    `level` None the compressor's. `annotations` go into each manifest, `annotated` where they say.
    `on_failure`: what is at `path` after a step that failed, and nothing else.
    `attestation_prefix`: before the names of attestations, which are written beside the files;
    None: they are not. `store`: the image is kept in the local store. `name_canonical`: it is
    pushed, and so has a name with its digest.
    """

    kind: OutputKind
    dest: str = ""
    names: tuple[Reference, ...] = ()
    push: bool = False
    push_by_digest: bool = False
    insecure: bool = False
    oci_media_types: bool | None = None
    compression: Compression | None = None
    level: int | None = None
    force_compression: bool = False
    rewrite_timestamp: bool = False
    annotations: tuple[tuple[str, str], ...] = ()
    annotated: tuple[Annotation, ...] = ()
    as_tar: bool = True
    store: bool = True
    name_canonical: bool = False
    platform_split: bool | None = None
    on_failure: bool = False
    path: str = ""
    attestation_prefix: str | None = None


_COMPRESSIONS: Mapping[str, Compression] = {
    "gzip": "gzip",
    "zstd": "zstd",
    "uncompressed": "none",
}

_IMAGES = frozenset({"image", "registry", "oci", "docker"})
_TREES = frozenset({"local", "tar"})


def parse_output(text: str) -> Output:
    """Return what `text` asks for. Raises UsageError."""
    if not text:
        raise UsageError("--output without a value", hint="for example: -o type=oci,dest=app.tar")
    fields = split_fields(text)
    if len(fields) == 1 and not fields[0].startswith("type="):
        return Output("tar", STDOUT) if text == STDOUT else Output("local", fields[0])
    pairs = []
    for field in fields:
        key, equals, value = field.partition("=")
        if not equals:
            raise UsageError(f"{field!r} in --output {text!r} has no value", hint="write KEY=VALUE")
        pairs.append((key.strip(), value))
    named = [value for key, value in pairs if key.lower() == "type"]
    if not named:
        raise UsageError(f"--output {text!r} has no type", hint=f"one of: {_kinds()}")
    output = Output(_kind(named[-1]))
    for key, value in pairs:
        if key.lower() != "type":
            output = _with(output, key, value)
    return _checked(output)


def split_fields(text: str) -> list[str]:
    """Return the comma-separated fields of `text`; a field in double quotes may hold commas."""
    if '"' not in text:
        return text.split(",")
    from grammar.comma_separated import split_record  # for quotes only

    try:
        return split_record(text)
    except ValueError as error:
        raise UsageError(f"{text!r}: {error}", hint=QUOTES_HINT) from error


def _kinds() -> str:
    return ", ".join(get_args(OutputKind))


def _kind(name: str) -> OutputKind:
    for kind in get_args(OutputKind):
        if name == kind:
            return kind  # type: ignore[no-any-return]
    from difflib import get_close_matches  # for a mistake only

    close = get_close_matches(name, get_args(OutputKind), n=1)
    raise UsageError(
        f"no output type is called {name!r}",
        hint=f"did you mean {close[0]}?" if close else f"one of: {_kinds()}",
    )


def _with(output: Output, name: str, value: str) -> Output:
    """Return `output` with one more attribute."""
    key = name.lower()
    if key.startswith(("annotation.", "annotation-", "annotation[")):
        _require(output, key, _IMAGES)
        from buildkit.exporter.annotations import parse_attribute  # for these attributes only

        found = parse_attribute(name, value)
        if found.kind == "manifest" and found.platform is None:
            return output._replace(annotations=(*output.annotations, (found.name, value)))
        return output._replace(annotated=(*output.annotated, found))
    if key not in _SETTERS:
        from difflib import get_close_matches  # for a mistake only

        close = get_close_matches(key, [*_SETTERS, *_NOT_DONE], n=1)
        if key in _NOT_DONE:
            raise UsageError(f"the output attribute {key} is not supported", hint=_NOT_DONE[key])
        hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(sorted(_SETTERS))}"
        raise UsageError(f"no output attribute is called {key!r}", hint=hint)
    kinds, setter = _SETTERS[key]
    _require(output, key, kinds)
    return setter(output, key, value)


def _require(output: Output, key: str, kinds: frozenset[str]) -> None:
    if output.kind not in kinds:
        raise UsageError(
            f"output type {output.kind} has no attribute {key}",
            hint=f"it belongs to: {', '.join(sorted(kinds))}",
        )


def _set_names(output: Output, key: str, value: str) -> Output:
    try:
        names = tuple(name_to_give(name.strip()) for name in value.split(",") if name.strip())
    except ValueError as error:
        raise UsageError(f"output attribute {key}: {error}", hint="as in app or app:1.2") from error
    return output._replace(names=(*output.names, *names))


def _set_dest(output: Output, key: str, value: str) -> Output:
    if not value:
        raise UsageError(f"output attribute {key} is empty", hint="name a path, or - for stdout")
    return output._replace(dest=value)


def _set_compression(output: Output, _key: str, value: str) -> Output:
    if value not in _COMPRESSIONS:
        raise UsageError(
            f"no compression is called {value!r}", hint=f"one of: {', '.join(_COMPRESSIONS)}"
        )
    return output._replace(compression=_COMPRESSIONS[value])


def _set_level(output: Output, key: str, value: str) -> Output:
    return output._replace(level=level_of(f"output attribute {key}", value))


def level_of(what: str, value: str) -> int:
    """Return a level of compression; `what` is said to have it. Raises UsageError."""
    if not (value.isascii() and value.isdigit() and len(value) < 3) or int(value) > 22:
        raise UsageError(f"{what}: {value!r} is not a level from 0 to 22")
    return int(value)


def _set_mode(output: Output, key: str, value: str) -> Output:
    """Change nothing: what is in the directory and not in the image is left alone."""
    if value != "copy":
        raise UsageError(
            f"output attribute {key}: {value!r} is not supported, copy is",
            hint="remove the directory first to have nothing but the image in it",
        )
    return output


def _set_on(output: Output, key: str, value: str) -> Output:
    if value not in ("failure", "success"):
        raise UsageError(f"output attribute {key}: {value!r} is neither failure nor success")
    return output._replace(on_failure=value == "failure")


def _set_path(output: Output, key: str, value: str) -> Output:
    if not value.startswith("/"):
        raise UsageError(f"output attribute {key}: {value!r} is no absolute path in the image")
    return output._replace(path=value)


def _set_attestation_prefix(output: Output, key: str, value: str) -> Output:
    if "/" in value or not value.isprintable():
        raise UsageError(f"output attribute {key}: {value!r} is no beginning of a file's name")
    return output._replace(attestation_prefix=value)


def _set_unpack(output: Output, key: str, value: str) -> Output:
    """Change nothing: layers are kept unpacked whatever is said."""
    _truth(key, value)
    return output


def _flag(field: str) -> Callable[[Output, str, str], Output]:
    def set_flag(output: Output, key: str, value: str) -> Output:
        return output._replace(**{field: _truth(key, value)})  # type: ignore[arg-type]

    return set_flag


def _truth(key: str, value: str) -> bool:
    """Return what `value` means, as Go's strconv.ParseBool reads it."""
    if value.lower() in ("1", "t", "true"):
        return True
    if value.lower() in ("0", "f", "false"):
        return False
    raise UsageError(f"output attribute {key}: {value!r} is neither true nor false")


_PUSHED = frozenset({"image", "registry"})
_ARCHIVES = frozenset({"oci", "docker"})

_Setter: TypeAlias = "Callable[[Output, str, str], Output]"

_SETTERS: Mapping[str, tuple[frozenset[str], _Setter]] = {
    "name": (_IMAGES, _set_names),
    "dest": (_ARCHIVES | _TREES, _set_dest),
    "push": (_PUSHED, _flag("push")),
    "push-by-digest": (_PUSHED, _flag("push_by_digest")),
    "registry.insecure": (_PUSHED, _flag("insecure")),
    "oci-mediatypes": (_IMAGES, _flag("oci_media_types")),
    "compression": (_IMAGES, _set_compression),
    "compression-level": (_IMAGES, _set_level),
    "force-compression": (_IMAGES, _flag("force_compression")),
    "rewrite-timestamp": (_IMAGES, _flag("rewrite_timestamp")),
    "tar": (_ARCHIVES, _flag("as_tar")),
    "store": (_PUSHED, _flag("store")),
    "name-canonical": (_PUSHED, _flag("name_canonical")),
    "unpack": (_PUSHED, _set_unpack),
    "mode": (frozenset({"local"}), _set_mode),
    "on": (frozenset({"local"}), _set_on),
    "path": (frozenset({"local"}), _set_path),
    "attestation-prefix": (_TREES, _set_attestation_prefix),
    "platform-split": (_TREES, _flag("platform_split")),
}

_NOT_DONE: Mapping[str, str] = {
    "oci-artifact": "attestations are always artifacts, which refer to the image",
    "attestation-inline": "attestations are always artifacts, which refer to the image",
    "dangling-name-prefix": "images without a name are found by their ID",
    "context": "write a file with dest= and load it there",
    "compatibility-version": "the layout of images has no versions here",
    "buildinfo": "--provenance says how an image was made",
}


def _checked(output: Output) -> Output:
    """Return `output` if its attributes go together, with what follows from its type."""
    if output.kind == "registry":
        output = output._replace(push=True)
    if output.name_canonical and not output.push:
        raise UsageError(
            "name-canonical=true needs push=true",
            hint="NAME@DIGEST is the name of an image in a registry",
        )
    if output.kind == "local" and output.dest in ("", STDOUT):
        raise UsageError("output type local needs dest=DIRECTORY")
    if output.on_failure != bool(output.path):
        raise UsageError(
            "on=failure and path=PATH go together", hint="path says what of a failed step is kept"
        )
    if output.kind in ("tar", "oci") and not output.dest:
        output = output._replace(dest=STDOUT)
    if not output.as_tar and output.dest in ("", STDOUT):
        raise UsageError("tar=false writes a directory and needs dest=DIRECTORY")
    if not output.as_tar and output.kind == "docker":
        raise UsageError(
            "output type docker is always an archive", hint="type=oci,tar=false is not"
        )
    if output.kind == "oci" and output.oci_media_types is False:
        raise UsageError("an image layout has OCI media types", hint="use type=docker")
    limit = 22 if output.compression == "zstd" else 9
    if output.level is not None and output.level > limit:
        raise UsageError(f"compression levels of gzip go from 0 to {limit}, not {output.level}")
    return output
