"""What is refused says what would be right."""

from collections.abc import Callable

import pytest

from buildkit.base import debian
from buildkit.cli import values
from buildkit.cli.attestations import parse_wanted
from buildkit.cli.foreign import entitlements
from buildkit.cli.tag import parse_name
from buildkit.containers import changes, flags, mounts, places
from buildkit.errors import BuildError
from buildkit.oci.config import ContainerConfig
from buildkit.ops import secrets
from buildkit.ops.secrets import SecretSource

Refused = Callable[[], object]

DIGEST = f"sha256:{'0' * 64}"

ROWS: list[tuple[Refused, str]] = [
    (lambda: places.place_of("x", ""), "as in 10.87.0.9"),
    (lambda: places.aliases_of(["a b"]), "as in db"),
    (lambda: parse_wanted((), (), ["mode=x"]), "mode=max tells"),
    (lambda: parse_wanted((), (), ["version=v0.2"]), "leave version out"),
    (lambda: mounts.parse_tmpfs("/x:size=y"), "as in 64m"),
    (lambda: mounts.parse_mount("type=tmpfs,target=/x,tmpfs-mode=9"), "octal"),
    (lambda: mounts.checked(mounts.parse_volume("/none/a:/b")), "make it first"),
    (lambda: flags.set_of("--cpuset-cpus", "x"), "as in 0-1,3"),
    (lambda: flags.parse_device("/dev/none"), "as in /dev/fuse"),
    (lambda: flags.parse_device("/etc/passwd"), "as in /dev/fuse"),
    (lambda: values.tag_of(f"a@{DIGEST}"), f"leave @{DIGEST} out"),
    (lambda: parse_name(f"a@{DIGEST}"), f"leave @{DIGEST} out"),
    (lambda: secrets.read("s", SecretSource("", "NOT_SET")), "export NOT_SET=..."),
    (lambda: changes.changed(ContainerConfig(), ["EXPOSE x"]), "as in EXPOSE 8080"),
    (lambda: entitlements(["device=/dev/fuse"]), "leave it out"),
    (
        lambda: debian.plan(suite="x y", packages=[], mirrors=[], privileged=True),
        "as in bookworm",
    ),
]


@pytest.mark.parametrize(("refused", "hint"), ROWS, ids=[hint for _, hint in ROWS])
def test_what_is_refused_says_what_would_be_right(refused: Refused, hint: str) -> None:
    with pytest.raises(BuildError) as raised:
        refused()
    assert hint in raised.value.hint
