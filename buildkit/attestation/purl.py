"""What an image is called as a package URL. Source: purl-spec, `docker`, as BuildKit has it."""

from __future__ import annotations

from urllib.parse import quote

from buildkit.oci.digest import Digest
from buildkit.oci.reference import Reference


def purl_of(reference: str, platform: str = "", digest: Digest | None = None) -> str:
    """Return the purl of an image; text that is no reference is returned as it is."""
    try:
        parsed = Reference.parse(reference)
    except ValueError:
        return reference
    plain = parsed._replace(tag="", digest=None)
    name = plain.familiar.removesuffix(":latest")
    qualifiers = []
    if digest is not None:
        qualifiers.append(f"digest={quote(digest, safe=':')}")
    if platform:
        qualifiers.append(f"platform={quote(platform, safe='')}")
    path = "/".join(quote(part, safe=":") for part in name.split("/"))
    version = quote(parsed.tag or "latest", safe="")
    return f"pkg:docker/{path}@{version}" + (f"?{'&'.join(qualifiers)}" if qualifiers else "")
