"""What may be given to the user of a container; `tests/e2e/test_given_sources.py` gives it."""

import pytest

from buildkit.containers import ownership
from buildkit.errors import UsageError

STORE, HOME = "/srv/pybuild", "/home/me"


@pytest.mark.parametrize(
    "path",
    [
        "/", "/etc", "/etc/passwd", "/usr", "/tmp", "/home", "/home/me", "/var/lib", "/proc/1/root",
        "/sys/kernel", "/dev/null", "/srv", "/srv/pybuild", "/srv/pybuild/layers", "/dev/shm",
        "/srv/pybuild/volumes", "/usr/lib", "/usr/share/doc", "/boot/grub", "/lib/modules",
        "/usr/local", "/var/tmp", "/var/cache",
    ],
)  # fmt: skip
def test_what_others_need_is_not_given_away(path: str) -> None:
    with pytest.raises(UsageError, match=f"^{path} is not given"):
        ownership.check(path, STORE, HOME)


@pytest.mark.parametrize(
    "path",
    [
        "/home/me/data", "/home/men", "/srv/pybuild-data", "/srv/pybuild/volumes/v/data",
        "/dev/shm/mine", "/var/lib/app", "/tmp/x", "/usr/local/share/app", "/var/tmp/x", "/libs",
    ],
)  # fmt: skip
def test_what_is_for_the_container_is(path: str) -> None:
    ownership.check(path, STORE, HOME)
    ownership.check(path, STORE, "")
