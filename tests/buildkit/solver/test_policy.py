"""Which results of earlier steps may be taken."""

import pytest

from buildkit.cache.key import CacheKey
from buildkit.cache.store import CachedStep
from buildkit.oci.digest import Digest
from buildkit.solver.policy import CachePolicy

EPOCH = 1_000_000_000
"""2001-09-09T01:46:40Z."""


def made(created: str) -> CachedStep:
    return CachedStep(CacheKey("k"), "{}", "", Digest.of(b""), None, created)


@pytest.mark.parametrize(
    ("created", "taken"),
    [
        ("2001-09-09T01:46:40Z", True),
        ("2001-09-09T01:46:40.999999Z", True),
        ("1999-01-01T00:00:00Z", True),
        ("2001-09-09T01:46:41Z", False),
        ("2026-11-24T10:00:00.123456Z", False),
        ("", False),
    ],
)
def test_with_an_epoch_nothing_made_after_it_is_taken(created: str, taken: bool) -> None:
    assert not CachePolicy().too_young(made(created))
    refusal = CachePolicy(epoch=EPOCH).too_young(made(created))
    assert bool(refusal) != taken
    if refusal:
        assert refusal == "files may be younger than SOURCE_DATE_EPOCH, 2001-09-09T01:46:40Z"
