"""Which attestations a build is to have, as a value."""

from __future__ import annotations

from buildkit.attestation.statement import AttestationKind
from runtime.typed import Literal
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias


Detail: TypeAlias = Literal["min", "max"]


class Wanted(NamedTuple):
    """`provenance`: how much of it, None for none. `builder`: its `builder.id`, a URI.

    `metadata`: how much of a provenance stands in the metadata file, None for none. `refused`: the
    kinds that the image is not to have, not even from an earlier build.
    """

    sbom: bool = False
    provenance: Detail | None = None
    builder: str = ""
    metadata: Detail | None = None
    refused: frozenset[AttestationKind] = frozenset()
