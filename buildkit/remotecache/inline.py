"""A cache inside of an image: its steps in a member of the config, its layers the image's own.

In: an image as assembled, its steps. Out: the image with the cache in it, which then goes wherever
the image goes. What would differ from one machine to the next (when, how long) is left out, so
that the image of equal steps is the same image.
"""

from __future__ import annotations

import json

from buildkit.exporter.assemble import Image
from buildkit.oci.digest import Digest
from buildkit.oci.fields import encode
from buildkit.remotecache.document import IMAGE_MEMBER, CacheDocument, SharedStep


def with_cache(image: Image, steps: tuple[SharedStep, ...]) -> Image:
    """Return `image` with `steps` in its config."""
    plain = tuple(step._replace(made=0, took=0, used="") for step in steps)
    members = json.loads(image.data)
    members[IMAGE_MEMBER] = CacheDocument.of(plain, ()).members()
    data = encode(members)
    return Image(image.config, data, Digest.of(data))
