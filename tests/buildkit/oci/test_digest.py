"""Digests: what is one, and what looks like one. Guarantee S16."""

import hashlib

import pytest

from buildkit.oci import digest
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


@pytest.mark.parametrize("size", [0, 1, 1000, digest._LARGE - 1, digest._LARGE, digest._LARGE + 1])
def test_one_library_hashes_as_the_other(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    expected = hashlib.sha256(data[:size]).hexdigest()
    for before in (0, digest._LARGE):
        monkeypatch.setattr(digest, "_hashed", before)
        assert digest.sha256_of(data[:size]).hexdigest() == expected


def test_much_that_is_hashed_is_left_to_openssl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digest, "_hashed", 0)
    kinds = {type(digest.sha256_of(bytes(digest._LARGE // 4))) for _ in range(5)}
    assert kinds == {type(digest.sha256()), type(hashlib.sha256())}
