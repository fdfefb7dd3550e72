"""What a mount of a RUN shows, as a copy: so that it has a digest, and can be made a tree.

In: an input and a path in it. Out: a `CopyOp`.
"""

import re

from buildkit.llb.op import CopyOp, CopySource

_WILDCARD = re.compile(r"([*?\[\\])")


def mount_copy(origin: int, source: str) -> CopyOp:
    """Return the copy that takes what a mount shows, to `/content`: its key and its tree."""
    return CopyOp(
        # A mount has no wildcards.
        sources=(CopySource(origin, _WILDCARD.sub(r"\\\1", source)),),
        dest="/content",
        chown="",
        chmod="",
        exclude=(),
        parents=False,
        link=False,
        unpack="never",
        keep_owner=True,
    )
