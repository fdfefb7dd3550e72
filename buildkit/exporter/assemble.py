"""From what was built to an image: the config document and its digest.

In: the container's configuration, the base's config, and one entry for each instruction. Out: an
`Image`. Pure. Source: image-spec config.md; times and history as Moby BuildKit writes them, but
that an instruction without a layer has the time of the layer before it: then building again what
is cached gives the same image.
"""

from __future__ import annotations

import time

from buildkit.oci.config import ContainerConfig, History, ImageConfig
from buildkit.oci.digest import Digest
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from buildkit.oci.platforms import Platform


COMMENT = "buildkit.dockerfile.v0"


class Entry(NamedTuple):
    """One line of history to be; `diff_id` and `created` (RFC 3339) are those of its layer."""

    created_by: str
    diff_id: Digest | None = None
    created: str = ""
    author: str = ""
    comment: str = COMMENT


class Image(NamedTuple):
    """A whole image: `data` is the config blob, `digest` its digest, the image ID."""

    config: ImageConfig
    data: bytes
    digest: Digest

    @classmethod
    def of(cls, config: ImageConfig) -> Self:
        """Return the image that `config` describes."""
        data = config.encode()
        return cls(config, data, Digest.of(data))


def assemble(
    *,
    container: ContainerConfig,
    platform: Platform,
    entries: Sequence[Entry],
    base: ImageConfig | None = None,
    author: str = "",
    epoch: int | None = None,
) -> Image:
    """Return the image. `epoch` (SOURCE_DATE_EPOCH) becomes the time of everything new."""
    fixed = "" if epoch is None else rfc3339(epoch)
    created = "" if base is None else base.created
    history = [] if base is None else list(_padded(base))
    diff_ids = [] if base is None else list(base.diff_ids)
    for entry in entries:
        created = fixed or entry.created or created
        history.append(
            History(
                created=created,
                created_by=entry.created_by,
                author=entry.author,
                comment=entry.comment,
                empty_layer=entry.diff_id is None,
            )
        )
        if entry.diff_id is not None:
            diff_ids.append(entry.diff_id)
    return Image.of(
        ImageConfig(
            platform=platform,
            created=created or fixed,
            author=author,
            config=container,
            diff_ids=tuple(diff_ids),
            history=tuple(history),
            os_version="" if base is None else base.os_version,
            os_features=() if base is None else base.os_features,
        )
    )


def rfc3339(seconds: int) -> str:
    """Return a time in seconds since the epoch as image configs have it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _padded(base: ImageConfig) -> Sequence[History]:
    """Return the base's history, with a line for each layer that it does not mention.

    Readers count on as many lines with layers as there are layers.
    """
    told = sum(not item.empty_layer for item in base.history)
    missing = len(base.diff_ids) - told
    filler = History(created=base.created, created_by="", comment="no history of this layer")
    return (*(filler,) * max(missing, 0), *base.history)
