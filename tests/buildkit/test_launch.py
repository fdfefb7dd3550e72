"""From an image's config to what a container's process finds."""

import pytest

from buildkit.errors import UsageError
from buildkit.launch import DEFAULT_PATH, RunOptions, command_of, environment_of
from buildkit.oci.config import ContainerConfig


def test_an_entry_without_a_value_takes_nothing_from_the_host(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TOKEN", "of the host")
    config = ContainerConfig(env=("TOKEN", "=odd", "A=1=2"))
    found = dict(environment_of(config, RunOptions(), "box"))
    assert found == {"PATH": DEFAULT_PATH, "HOSTNAME": "box", "TOKEN": "", "A": "1=2"}


def test_what_the_user_says_counts_more_than_the_image() -> None:
    config = ContainerConfig(env=("A=image", "PATH=/image", "HOSTNAME=image"))
    found = dict(environment_of(config, RunOptions(env=(("A", "user"), ("B", ""))), "box"))
    assert found == {"PATH": "/image", "HOSTNAME": "image", "A": "user", "B": ""}


@pytest.mark.parametrize(
    ("command", "reason"), [((), "no command"), (("", "x"), "the name of the program is empty")]
)
def test_what_names_no_program_is_refused(command: tuple[str, ...], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        command_of(ContainerConfig(), RunOptions(command))
