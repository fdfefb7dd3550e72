"""Digests: what is one, and what looks like one. Guarantee S16."""

import pytest

from buildkit.oci.digest import Digest

HEX = "0123456789abcdef" * 4


def test_a_digest_is_its_own_text() -> None:
    assert Digest.parse(f"sha256:{HEX}") == f"sha256:{HEX}"
    assert Digest.parse(f"sha256:{HEX}").hex == HEX


@pytest.mark.parametrize(
    "text",
    [
        "",
        HEX,
        "sha256:",
        f"sha256:{HEX[1:]}",
        f"sha256:{HEX}0",
        f"sha256:{HEX.upper()}",
        f"sha512:{HEX}{HEX}",
        f"sha256:{HEX}\n",
        f" sha256:{HEX}",
        "sha256:../../../../etc/passwd" + "0" * 42,
        f"sha256:{HEX[:-1]}\u0661",
    ],
)
def test_what_is_no_digest_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="digest"):
        Digest.parse(text)
