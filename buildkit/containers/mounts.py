"""What a container is shown beside its image: the values of `-v`, `--mount` and `--tmpfs`.

In: their texts. Out: `Wanted` mounts, or UsageError that says what the form is. Source: the
reference of docker run, "Bind mounts and volumes"; podman-run(1), "--mount".
"""

from __future__ import annotations

import os
import posixpath

from buildkit.errors import UsageError
from buildkit.sizes import parse_size
from runtime.typed import Literal
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeAlias

    from runtime.spec import MountFlag


Kind: TypeAlias = Literal["bind", "volume", "tmpfs", "image"]
ImageVolumes: TypeAlias = Literal["bind", "tmpfs", "ignore"]
"""What becomes of an image's VOLUMEs: anonymous volumes, memory, nothing."""

_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")
_FLAGS: tuple[MountFlag, ...] = ("nosuid", "noexec", "nodev", "noatime")
_NUMBERS = frozenset(("size", "mode", "uid", "gid", "tmpfs-size", "tmpfs-mode"))
_AS_IN = {
    "size": "as in 64m or 10%",
    "mode": "an octal number, as in 1777",
    "uid": "a number, as in 1000",
    "gid": "a number, as in 1000",
}
_HARMLESS = frozenset((
    "z", "Z", "rw", "exec", "suid", "dev", "copy", "rprivate", "private", "rslave", "slave",
    "cached", "delegated", "consistent",
))  # fmt: skip
"""What is so anyway, or means nothing on this system."""
_BIND_FORM = "the form is SOURCE:TARGET[:ro]"


class Wanted(NamedTuple):
    """A mount. `source`: an absolute path, the name of a volume or an image, or empty for an
    anonymous volume.

    `copies`: a new volume starts with what the image has at `target`. `size`, `mode`,
    `uid` and `gid` are for tmpfs; `recursive` and `makes` (a missing source is made) for bind;
    `path`, what of it is shown, for image and volume; `thrown_away`, whether what is written there
    is at the end of the run, and `chown`, whether the source is given to the container's user, for
    bind and volume.
    """

    kind: Kind
    target: str
    source: str = ""
    readonly: bool = False
    copies: bool = True
    recursive: bool = True
    makes: bool = False
    flags: tuple[MountFlag, ...] = ()
    size: int = 0
    mode: int = 0o1777
    path: str = ""
    uid: int = 0
    gid: int = 0
    thrown_away: bool = False
    chown: bool = False


def parse_volume(text: str) -> Wanted:
    """Parse the value of `-v`: `[SOURCE:]TARGET[:OPTIONS]`."""
    parts = text.split(":")
    if len(parts) > 3:
        raise UsageError(f"invalid volume {text!r}", hint=_BIND_FORM)
    source, target, options = ("", parts[0], "") if len(parts) == 1 else (*parts, "")[:3]
    is_path = "/" in source or source.startswith(".")
    if is_path:
        source = os.path.abspath(source)
    elif source:
        source = volume_name(source)
    kind: Kind = "bind" if is_path else "volume"
    mount = Wanted(kind, _target(target, text), source)
    for option in filter(None, options.split(",")):
        if option in ("O", "U"):
            mount = _with_letter(mount, option, text)
        else:
            mount = _with_option(mount, option, text)
    return checked(mount)


def _with_letter(mount: Wanted, letter: str, text: str) -> Wanted:
    """Return the mount with podman's `O`, changes that are thrown away, or `U`, a new owner."""
    changed = mount._replace(thrown_away=True) if letter == "O" else mount._replace(chown=True)
    if changed.thrown_away and changed.chown:
        raise UsageError(
            f"O and U do not go together in {text!r}", hint="O leaves the source as it is"
        )
    return changed


def _with_option(mount: Wanted, option: str, text: str) -> Wanted:
    if option in ("ro", "readonly"):
        return mount._replace(readonly=True)
    if option == "nocopy":
        return mount._replace(copies=False)
    if option in ("bind", "rbind"):
        return mount._replace(recursive=option == "rbind")
    for flag in _FLAGS:
        if option == flag:
            return mount._replace(flags=(*mount.flags, flag))
    if option in _HARMLESS:
        return mount
    raise UsageError(
        f"unknown option {option!r} in {text!r}",
        hint="ro, rw, O, U, nocopy, nosuid, nodev, noexec and noatime are known",
    )


def parse_tmpfs(text: str) -> Wanted:
    """Parse the value of `--tmpfs`: `TARGET[:OPTIONS]`."""
    target, _, options = text.partition(":")
    mount = Wanted("tmpfs", _target(target, text), flags=("nosuid", "nodev"))
    for option in filter(None, options.split(",")):
        key, _, value = option.partition("=")
        if key in _NUMBERS:
            mount = _with_number(mount, key.removeprefix("tmpfs-"), value, text)
        else:
            mount = _with_option(mount, option, text)
    return mount


def _with_number(mount: Wanted, key: str, value: str, text: str) -> Wanted:
    try:
        if key == "size":
            return mount._replace(size=_size(value))
        if key in ("uid", "gid"):
            number = _id(value)
            return mount._replace(uid=number) if key == "uid" else mount._replace(gid=number)
        return mount._replace(mode=int(value, 8))
    except ValueError as error:
        raise UsageError(f"invalid {key} in {text!r}: {value}", hint=_AS_IN[key]) from error


def _size(text: str) -> int:
    """Return the bytes of a size, or of a part of the machine's memory: `10%`, tmpfs(5)."""
    if not text.endswith("%"):
        return parse_size(text)
    share = text[:-1]
    if not (share.isascii() and share.isdecimal() and 0 < len(share) < 5 and int(share)):
        # The kernel takes none of it for no limit.
        raise ValueError(text)
    return os.sysconf("SC_PHYS_PAGES") * int(share) // 100 * os.sysconf("SC_PAGE_SIZE")


def _id(text: str) -> int:
    number = int(text)
    if not 0 <= number < (1 << 32) - 1:
        raise ValueError(text)
    return number


def parse_mount(text: str) -> Wanted:
    """Parse the value of `--mount`: `type=bind|volume|tmpfs|image,source=S,target=T,...`."""
    fields = dict(map(_field, split_fields("--mount", text)))
    kind = fields.pop("type", "volume")
    target = _take(fields, "target", "destination", "dst")
    source = _take(fields, "source", "src")
    if kind not in ("bind", "volume", "tmpfs", "image"):
        raise UsageError(
            f"unknown mount type {kind!r}", hint="bind, volume, tmpfs and image are known"
        )
    mount = Wanted("bind", _target(target, text))
    if kind == "image":
        return _of_image(mount, source, fields, text)
    if kind == "tmpfs":
        mount = mount._replace(kind="tmpfs", flags=("nosuid", "nodev"))
    elif kind == "volume":
        mount = mount._replace(kind="volume", source=volume_name(source) if source else "")
    elif not source.startswith(("/", ".", "~")):
        raise UsageError(f"the source of {text!r} must be a path", hint="as in source=/data")
    else:
        mount = mount._replace(source=os.path.abspath(os.path.expanduser(source)))
    for key, value in fields.items():
        mount = _with_field(mount, key, value, text)
    return checked(mount)


def _of_image(mount: Wanted, source: str, fields: dict[str, str], text: str) -> Wanted:
    """Return the mount of an image's files: `type=image,source=IMAGE,target=T[,subpath=P]`."""
    if not source:
        raise UsageError(f"{text!r} names no image", hint="as in type=image,source=IMAGE,target=T")
    path = _take(fields, "subpath", "image-subpath")
    for key, value in fields.items():
        wanted = value.lower() in ("", "true", "1")
        if key not in ("rw", "readwrite", "ro", "readonly"):
            raise UsageError(
                f"unknown field {key!r} in {text!r}", hint="of an image there is subpath"
            )
        if wanted != (key in ("ro", "readonly")):
            raise UsageError(
                f"{text!r}: an image is mounted read-only",
                hint="for a copy to write in, start a container of it and share a volume",
            )
    return mount._replace(kind="image", source=source, readonly=True, path=path)


def _with_field(mount: Wanted, key: str, value: str, text: str) -> Wanted:
    if key in ("readonly", "ro", "rw"):
        wanted = value.lower() in ("", "true", "1")
        return mount._replace(readonly=wanted != (key == "rw"))
    if key in _NUMBERS and mount.kind == "tmpfs":
        return _with_number(mount, key.removeprefix("tmpfs-"), value, text)
    if key in ("U", "chown") and mount.kind != "tmpfs":
        return mount._replace(chown=value.lower() in ("", "true", "1"))
    if key in ("volume-subpath", "subpath") and mount.kind == "volume":
        return _part_of_volume(mount, key, value, text)
    if key in ("volume-nocopy", "bind-nonrecursive"):
        wanted = value.lower() in ("", "true", "1")
        if key == "volume-nocopy":
            return mount._replace(copies=not wanted)
        return mount._replace(recursive=not wanted)
    if key in ("bind-propagation", "consistency", "volume-driver", "relabel", "z", "Z"):
        if key == "volume-driver" and value not in ("", "local"):
            raise UsageError(f"unknown volume driver {value!r}", hint="there is only local")
        return mount
    raise UsageError(f"unknown field {key!r} in {text!r}")


def _part_of_volume(mount: Wanted, key: str, value: str, text: str) -> Wanted:
    """Return the mount of a part of a volume, which gets nothing of the image for that.

    docker's `volume-subpath` is relative; podman's `subpath` may begin with a slash.
    """
    path = value.lstrip("/") if key == "subpath" else value
    normal = posixpath.normpath(path) if path else ""
    if path.startswith("/") or normal == ".." or normal.startswith("../") or "\0" in path:
        raise UsageError(f"{key} in {text!r} must be a relative path within the volume")
    if path and not mount.source:
        raise UsageError(
            f"{text!r} names no volume", hint=f"a new volume has nothing at {key}: name one"
        )
    return mount._replace(path=path, copies=mount.copies and not path)


def split_fields(option: str, text: str) -> list[str]:
    """Return the fields of an option's value; one in double quotes may hold commas."""
    if '"' not in text:
        return text.split(",")
    from grammar.comma_separated import split_record  # for quotes only

    try:
        return split_record(text)
    except ValueError as error:
        raise UsageError(
            f"invalid {option} {text!r}: {error}",
            hint="quotes are around a whole field; one in it is written twice",
        ) from error


def _field(part: str) -> tuple[str, str]:
    key, _, value = part.partition("=")
    return key, value


def _take(fields: dict[str, str], *names: str) -> str:
    found = [fields.pop(name) for name in names if name in fields]
    return found[0] if found else ""


def checked(mount: Wanted) -> Wanted:
    """Return the mount, if the source of a bind is there. Raises UsageError."""
    if mount.kind == "bind" and not os.path.lexists(mount.source):
        raise UsageError(f"the source {mount.source} does not exist", hint="make it first")
    if mount.kind == "bind" and mount.thrown_away and not os.path.isdir(mount.source):
        raise UsageError(
            f"the source {mount.source} is no directory", hint="the option O is for directories"
        )
    return mount


def volume_name(text: str) -> str:
    """Return the name of a volume. Raises UsageError for what is none."""
    if not text or text[0] in ".-" or not _NAME.issuperset(text) or len(text) > 128:
        raise UsageError(
            f"invalid volume name {text!r}", hint="a directory is given by a path: ./NAME"
        )
    return text


def _target(target: str, text: str) -> str:
    normal = posixpath.normpath(target) if target else ""
    normal = "/" + normal.lstrip("/") if normal.startswith("/") else normal
    if not normal.startswith("/") or normal == "/":
        raise UsageError(
            f"the target in {text!r} must be an absolute path other than /", hint=_BIND_FORM
        )
    return normal


def with_volumes(
    wanted: Sequence[Wanted], targets: Sequence[str], kind: ImageVolumes = "bind"
) -> tuple[Wanted, ...]:
    """Return the mounts, and anonymous volumes at those of `targets` where nothing is mounted.

    `targets` are an image's VOLUMEs; `kind`: what becomes of them. Of mounts at one place the last
    one counts.
    """
    by_target = {mount.target: mount for mount in wanted}
    if kind == "ignore":
        targets = ()
    for target in targets:
        # Two slashes at the start are kept by POSIX.
        normal = "/" + posixpath.normpath(f"/{target}").lstrip("/")
        if normal != "/":
            volume = Wanted("volume", normal)
            if kind == "tmpfs":
                volume = Wanted("tmpfs", normal, flags=("nosuid", "nodev"))
            by_target.setdefault(normal, volume)
    return tuple(by_target.values())
