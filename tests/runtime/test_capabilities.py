"""Sets of capabilities, by name."""

import pytest

from runtime import capabilities
from runtime.errors import SpecError
from runtime.spec import DEFAULT_CAPABILITIES


@pytest.mark.parametrize("name", ["CAP_SYS_ADMIN", "sys_admin", "Sys_Admin", "cap_sys_admin"])
def test_names_may_be_written_in_many_ways(name: str) -> None:
    assert capabilities.parse(name) == "CAP_SYS_ADMIN"


def test_the_default_mask_is_the_engines() -> None:
    assert capabilities.mask(DEFAULT_CAPABILITIES) == 0xA80425FB


def test_masks_and_names_are_inverse() -> None:
    assert capabilities.mask(capabilities.names(capabilities.ALL)) == capabilities.ALL


@pytest.mark.parametrize(
    ("add", "drop", "expected"),
    [
        ((), (), ("CAP_CHOWN", "CAP_KILL")),
        (("net_admin",), (), ("CAP_CHOWN", "CAP_KILL", "CAP_NET_ADMIN")),
        ((), ("kill",), ("CAP_CHOWN",)),
        ((), ("ALL",), ()),
        (("net_admin",), ("all",), ("CAP_NET_ADMIN",)),
        (("ALL",), (), capabilities.NAMES),
        (("ALL",), ("chown",), capabilities.NAMES[1:]),
    ],
)
def test_additions_and_removals_are_exact(
    add: tuple[str, ...], drop: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    assert capabilities.select(add, drop, ("CAP_CHOWN", "CAP_KILL")) == expected


def test_contradictions_are_refused() -> None:
    with pytest.raises(SpecError, match="CAP_KILL cannot be added and dropped at once"):
        capabilities.select(["kill"], ["KILL"])
    with pytest.raises(SpecError, match="no capability frob"):
        capabilities.select(["frob"], [])
