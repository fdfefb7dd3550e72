"""Secrets as credentials for downloads and repositories."""

from base64 import b64encode

import pytest

from buildkit.context.git import git_authorization
from buildkit.ops.remotes import http_credentials
from buildkit.ops.secrets import SecretSource


def test_secrets_of_a_host_are_its_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("HTTP_AUTH_TOKEN_x.org", "HTTP_AUTH_HEADER_y.org", "other")
    for number, name in enumerate(names):
        monkeypatch.setenv(name, f"value{number}")
    known = {name: SecretSource("", name) for name in names}
    known["unused"] = SecretSource("/nowhere/at/all", "")
    credentials = http_credentials(known)
    assert credentials("x.org") == "Bearer value0"
    assert credentials("y.org") == "value1"
    assert credentials("z.org") == ""


def basic(token: str) -> str:
    return f"basic {b64encode(f'x-access-token:{token}'.encode()).decode()}"


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("own.org", basic("own")),
        ("own.org:8443", basic("port")),
        ("own.org:1", basic("own")),
        ("header.org", "Digest x"),
        ("any.org", basic("any")),
    ],
)
def test_a_repository_is_told_what_is_for_its_host_before_what_is_for_all(
    host: str, said: str
) -> None:
    secrets = {
        "GIT_AUTH_TOKEN": b"any\n",
        "GIT_AUTH_TOKEN.own.org": b"own",
        "GIT_AUTH_TOKEN.own.org:8443": b"port",
        "GIT_AUTH_HEADER.header.org": b"Digest x\n",
        "GIT_AUTH_TOKEN.header.org": b"not this",
    }
    assert git_authorization(secrets)(host) == said


def test_without_secrets_nothing_is_told() -> None:
    assert git_authorization({})("any.org") == ""
