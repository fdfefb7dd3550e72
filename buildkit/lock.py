"""The lock file beside a Dockerfile: which images its names mean, for builds that must not drift.

In and out: JSON with sorted keys, `Dockerfile.lock` beside `Dockerfile`, made by `pybuild lock` and
kept under version control. `--locked` takes what it says, whatever the names mean by now.
"""

import json
from collections.abc import Mapping
from typing import Any

from buildkit.definition import Resolve
from buildkit.errors import DefinitionError, ImageError
from buildkit.frontend.bases import BaseRequest, BaseUse
from buildkit.images import ImageStore
from buildkit.oci.config import ResolvedImage
from buildkit.oci.digest import Digest
from runtime.values import NamedTuple

FORMAT = 1

_LIMIT = 4 << 20


class Pin(NamedTuple):
    """An image: its ID (config digest), and the digest of its manifest or index in the registry,
    None for an image that came from none.
    """

    image: Digest
    manifest: Digest | None


class Lock(NamedTuple):
    """A lock file: pins by `REFERENCE PLATFORM`."""

    path: str
    images: Mapping[str, Pin]


def name_of(wanted: BaseRequest) -> str:
    """Return the name of a pin."""
    return f"{wanted.reference} {wanted.platform}"


def path_of(dockerfile: str | None) -> str:
    """Return where the lock file of a Dockerfile is. Raises DefinitionError without a Dockerfile
    that lies somewhere.
    """
    if dockerfile is None:
        raise DefinitionError(
            "a Dockerfile from standard input has no lock file", hint="write it to a file"
        )
    return f"{dockerfile}.lock"


def read_lock(path: str) -> Lock | None:
    """Return the lock file at `path`, None if there is none. Raises DefinitionError."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(_LIMIT)
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise DefinitionError(f"cannot read {path}: {error}") from error
    try:
        document = json.loads(text)
        if document["version"] != FORMAT:
            raise DefinitionError(f"{path} has format {document['version']}, not {FORMAT}")
        images = {str(name): _pin(fields) for name, fields in document["images"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DefinitionError(
            f"{path} is no lock file", hint="'pybuild lock' writes it anew"
        ) from error
    return Lock(path, images)


def encode_lock(lock: Lock) -> str:
    """Return the text of a lock file."""
    images = {
        name: {"image": pin.image, **({"manifest": pin.manifest} if pin.manifest else {})}
        for name, pin in lock.images.items()
    }
    return json.dumps({"version": FORMAT, "images": images}, indent=2, sort_keys=True) + "\n"


def locked(resolve: Resolve, dockerfile: str | None, images: ImageStore) -> Resolve:
    """Return what finds the images that the lock file of `dockerfile` names.

    Raises DefinitionError when there is none.
    """
    path = path_of(dockerfile)
    lock = read_lock(path)
    if lock is None:
        raise DefinitionError(f"--locked: there is no {path}", hint="'pybuild lock' writes it")

    def resolve_locked(wanted: BaseRequest, use: BaseUse) -> ResolvedImage:
        pin = lock.images.get(name_of(wanted))
        if pin is None:
            raise DefinitionError(
                f"{wanted.reference} for {wanted.platform} is not in {path}",
                lines=use.lines,
                hint="'pybuild lock' adds it",
            )
        try:
            return images.find(pin.image)._replace(reference=wanted.reference)
        except ImageError:
            found = resolve(_by_digest(wanted, pin), use)
        if found.config_digest != pin.image:
            raise DefinitionError(
                f"{wanted.reference} is {found.config_digest}, and {path} has {pin.image}",
                lines=use.lines,
                hint="'pybuild lock' takes what it is now",
            )
        return found._replace(reference=wanted.reference)

    return resolve_locked


def _by_digest(wanted: BaseRequest, pin: Pin) -> BaseRequest:
    """Return the request for what the registry has under the digest of the pin."""
    if pin.manifest is None or "@" in wanted.reference or "://" in wanted.reference:
        return wanted
    return wanted._replace(reference=f"{wanted.reference}@{pin.manifest}")


def _pin(fields: Mapping[str, Any]) -> Pin:
    manifest = fields.get("manifest")
    return Pin(
        Digest.parse(str(fields["image"])),
        None if manifest is None else Digest.parse(str(manifest)),
    )
