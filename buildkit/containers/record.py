"""What is known about a container beside its task: where it came from and what the user asked for.

In: nothing. Out: `Record`, kept as `config.json` in the container's directory, and `uses`, a file
that says in the form of a lease which image and layers it is made of (`state/lease.py`).
"""

from __future__ import annotations

from buildkit.containers.mounts import Wanted
from buildkit.errors import StoreError
from buildkit.oci.digest import Digest
from runtime import documents
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class Secret(NamedTuple):
    """A secret of a container: from the file `path`, or else the variable `variable`."""

    path: str
    variable: str
    target: str
    mode: int = 0o400
    uid: int = 0
    gid: int = 0


class Volume(NamedTuple):
    """A volume of a container, by its name; `anonymous` ones go with `rm -v` and `--rm`."""

    name: str
    target: str
    readonly: bool = False
    anonymous: bool = False


class ImageMount(NamedTuple):
    """An image whose files a container is shown at `target`: what is at `path`, a canonical one.

    `image` is its name, `config` its digest.
    """

    target: str
    image: str
    config: str
    diff_ids: tuple[str, ...]
    path: str = "/"


class Record(NamedTuple):
    """A container. `created` RFC 3339; `image` as the user called it, `config` its digest.

    `args` is what runs, with the image's entrypoint. `diff_ids` are its layers, bottom-most first;
    empty for a root file system of the user's (`rootfs`). `copied`: it works on a copy of them.
    """

    identity: str
    name: str
    created: str
    image: str
    config: str
    diff_ids: tuple[str, ...]
    args: tuple[str, ...]
    labels: tuple[tuple[str, str], ...] = ()
    mounts: tuple[Wanted, ...] = ()
    volumes: tuple[Volume, ...] = ()
    secrets: tuple[Secret, ...] = ()
    exposed: tuple[str, ...] = ()
    terminal: bool = False
    remove: bool = False
    rootfs: str = ""
    annotations: tuple[tuple[str, str], ...] = ()
    copied: bool = False
    images: tuple[ImageMount, ...] = ()


_TYPES: dict[str, type] = {
    kind.__name__: kind for kind in (Secret, Volume, ImageMount, Record, Wanted)
}


def read(directory: str) -> Record:
    """Return the record of a container. Raises StoreError, or FileNotFoundError for none."""
    path = f"{directory}/config.json"
    try:
        found = documents.read(path, _TYPES)
    except ValueError as error:
        raise StoreError(
            f"{path} is damaged: {error}", hint="pybuild rm -f takes it away"
        ) from error
    if not isinstance(found, Record):
        raise StoreError(f"{path} is no record of a container")
    return found


def write(directory: str, record: Record) -> None:
    """Keep the record, and what it uses."""
    documents.write(f"{directory}/config.json", record)
    lines = [f"layer {diff_id}\n" for diff_id in record.diff_ids]
    if record.config:
        lines.append(f"image {record.config}\n")
    for mount in record.images:
        lines += [f"layer {diff_id}\n" for diff_id in mount.diff_ids]
        lines.append(f"image {mount.config}\n")
    with open(f"{directory}/uses", "w", encoding="ascii") as file:
        file.writelines(lines)


def rewrite(directory: str, record: Record) -> None:
    """Replace the record of a container, which uses what it used."""
    documents.write(f"{directory}/config.json", record)


def diff_ids(texts: Sequence[str]) -> tuple[Digest, ...]:
    """Return the layers of a record."""
    return tuple(map(Digest.parse, texts))
