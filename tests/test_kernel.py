"""The probes of tests/kernel.py themselves."""

from tests import kernel


def test_what_must_be_there_is_known_by_its_name() -> None:
    assert kernel.must_have() - set(kernel.FEATURES) == set()
