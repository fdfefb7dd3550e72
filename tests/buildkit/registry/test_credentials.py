"""docker's config.json, credential helpers, and where logins are kept."""

import base64
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from buildkit.errors import Cancelled, UsageError
from buildkit.registry.credential_helper import Credentials, Waiting
from buildkit.registry.credentials import HUB_KEY, CredentialFiles

HELPER = """#!/bin/sh
printf '%s ' "$1" >> "{log}"
read -r line; printf '%s\\n' "$line" >> "{log}"
{act}
"""


def auth(text: str) -> dict[str, str]:
    return {"auth": base64.b64encode(text.encode()).decode()}


def config(home: Path, document: Any) -> dict[str, str]:
    """Write docker's config.json; return an environment in which it is found."""
    (home / ".docker").mkdir(parents=True, exist_ok=True)
    (home / ".docker/config.json").write_text(json.dumps(document))
    return {"HOME": str(home), "PATH": f"{home}/bin:/usr/bin:/bin"}


def helper(home: Path, name: str, act: str) -> Path:
    """Install a credential helper that notes what it was asked; return the notes."""
    (home / "bin").mkdir(exist_ok=True)
    path = home / "bin" / f"docker-credential-{name}"
    log = home / f"{name}.log"
    path.write_text(HELPER.format(log=log, act=act))
    path.chmod(0o755)
    return log


@pytest.mark.parametrize(
    ("auths", "host", "expected"),
    [
        ({"r.example:5000": auth("joe:x")}, "r.example:5000", "joe"),
        ({"r.example:5000": auth("joe:x")}, "r.example", None),
        ({"r.example": auth("joe:x")}, "r.example:5000", None),
        ({"r.example": auth("joe:x")}, "sub.r.example", None),
        ({"https://r.example/v2/": auth("joe:x")}, "r.example", "joe"),
        ({"https://r.example": auth("joe:x")}, "r.example", "joe"),
        ({HUB_KEY: auth("joe:x")}, "docker.io", "joe"),
        ({"docker.io": auth("joe:x")}, "docker.io", "joe"),
        ({HUB_KEY: auth("joe:x")}, "r.example", None),
        ({"r.example": {"username": "joe", "password": "x"}}, "r.example", "joe"),
        ({"r.example/team": auth("joe:x")}, "r.example", "joe"),
        ({"r.example/team": auth("joe:x"), "r.example": auth("all:x")}, "r.example", "joe"),
        ({"r.example/tea": auth("joe:x"), "r.example": auth("all:x")}, "r.example", "all"),
        ({"r.example": {}}, "r.example", None),
    ],
)
def test_an_entry_is_found_by_its_exact_host(
    tmp_path: Path, auths: dict[str, Any], host: str, expected: str | None
) -> None:
    found = CredentialFiles(config(tmp_path, {"auths": auths})).find(host, "team/app")
    assert (None if found is None else found.username) == expected


def test_a_password_may_have_colons(tmp_path: Path) -> None:
    environment = config(tmp_path, {"auths": {"r.example": auth("joe:a:b:c")}})
    assert CredentialFiles(environment).find("r.example") == Credentials("joe", "a:b:c")


def test_credentials_are_never_shown() -> None:
    found = Credentials("joe", "secret", "token", "token")
    assert "secret" not in f"{found} {found!r} {[found]}"


def test_files_are_looked_for_in_order(tmp_path: Path) -> None:
    environment = config(tmp_path, {"auths": {"r.example": auth("docker:x")}})
    run = tmp_path / "run/containers"
    run.mkdir(parents=True)
    (run / "auth.json").write_text(
        json.dumps({"auths": {"r.example": auth("podman:x"), "s.example": auth("podman:x")}})
    )
    environment["XDG_RUNTIME_DIR"] = str(tmp_path / "run")
    files = CredentialFiles(environment)
    assert [files.find(host).username for host in ("r.example", "s.example")] == [  # type: ignore[union-attr]
        "docker",
        "podman",
    ]
    (tmp_path / "named.json").write_text(json.dumps({"auths": {"r.example": auth("named:x")}}))
    environment["REGISTRY_AUTH_FILE"] = str(tmp_path / "named.json")
    assert CredentialFiles(environment).find("r.example") == Credentials("named", "x")
    assert CredentialFiles(environment).find("s.example") is None


def test_a_helper_is_asked_by_standard_input(tmp_path: Path) -> None:
    log = helper(tmp_path, "one", """echo '{"Username":"joe","Secret":"x"}'""")
    environment = config(tmp_path, {"credHelpers": {"r.example": "one"}, "credsStore": "two"})
    assert CredentialFiles(environment).find("r.example") == Credentials("joe", "x")
    assert log.read_text() == "get r.example\n"


def test_the_store_is_asked_for_all_hosts(tmp_path: Path) -> None:
    log = helper(tmp_path, "all", """echo '{"Username":"<token>","Secret":"t"}'""")
    environment = config(tmp_path, {"credsStore": "all"})
    assert CredentialFiles(environment).find("docker.io") == Credentials(identity_token="t")
    assert log.read_text() == f"get {HUB_KEY}\n"


def test_a_helper_that_knows_nothing_leaves_it_to_the_file(tmp_path: Path) -> None:
    helper(tmp_path, "all", "echo 'credentials not found in native keychain'; exit 1")
    auths = {"r.example": auth("joe:x")}
    environment = config(tmp_path, {"credsStore": "all", "auths": auths})
    assert CredentialFiles(environment).find("r.example") == Credentials("joe", "x")


@pytest.mark.parametrize(
    ("act", "message"),
    [
        ("echo secret >&2; exit 3", "failed with status 3"),
        ("echo nonsense", "no credentials that make sense"),
    ],
)
def test_a_helper_that_fails_is_an_error_without_what_it_said(
    tmp_path: Path, act: str, message: str
) -> None:
    helper(tmp_path, "bad", act)
    with pytest.raises(UsageError, match=message) as raised:
        CredentialFiles(config(tmp_path, {"credsStore": "bad"})).find("r.example")
    assert "secret" not in raised.value.message


def test_a_helper_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="docker-credential-gone is not installed"):
        CredentialFiles(config(tmp_path, {"credsStore": "gone"})).find("r.example")


@pytest.mark.parametrize("name", ["../../bin/sh", "a b", "-x"])
def test_a_helper_is_named_by_a_plain_word(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="impossible credential helper"):
        CredentialFiles(config(tmp_path, {"credsStore": name})).find("r.example")


@pytest.mark.parametrize("text", ["{", "[]", '{"auths": []}', '{"auths": {"r.example": 5}}'])
def test_a_file_that_is_none_is_an_error_with_its_path(tmp_path: Path, text: str) -> None:
    environment = config(tmp_path, {})
    (tmp_path / ".docker/config.json").write_text(text)
    with pytest.raises(UsageError, match=r"config\.json"):
        CredentialFiles(environment).find("r.example")


@pytest.mark.parametrize("text", ["%%%", "am9l"])
def test_an_entry_that_is_garbled_is_an_error(tmp_path: Path, text: str) -> None:
    environment = config(tmp_path, {"auths": {"r.example": {"auth": text}}})
    with pytest.raises(UsageError, match="not base64 of NAME:PASSWORD"):
        CredentialFiles(environment).find("r.example")


def test_a_login_is_kept_for_its_owner_alone_and_the_rest_stays(tmp_path: Path) -> None:
    environment = config(
        tmp_path, {"proxies": {"default": {}}, "auths": {"a.example": auth("x:y")}}
    )
    files = CredentialFiles(environment)
    files.save("r.example", Credentials("joe", "x"))
    files.save("docker.io", Credentials("hub", "y"))
    path = tmp_path / ".docker/config.json"
    kept = json.loads(path.read_text())
    assert kept["proxies"] == {"default": {}}
    assert set(kept["auths"]) == {"a.example", "r.example", HUB_KEY}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert files.find("docker.io") == Credentials("hub", "y")
    assert set(files.hosts()) == {"a.example", "r.example", "docker.io"}
    assert files.remove("r.example")
    assert files.find("r.example") is None
    assert not files.remove("r.example")


def test_a_login_goes_to_the_helper_and_not_into_the_file(tmp_path: Path) -> None:
    log = helper(tmp_path, "safe", 'echo \'{"Username":"joe","Secret":"x"}\'')
    environment = config(tmp_path, {"credsStore": "safe"})
    files = CredentialFiles(environment)
    assert files.save("r.example", Credentials("joe", "x")) == "docker-credential-safe"
    assert "joe" not in (tmp_path / ".docker/config.json").read_text()
    assert files.remove("r.example")
    assert [line.split()[0] for line in log.read_text().splitlines()] == ["store", "get", "erase"]


def test_the_file_of_logins_may_be_a_link(tmp_path: Path) -> None:
    environment = config(tmp_path, {})
    path = tmp_path / ".docker/config.json"
    path.rename(tmp_path / "real.json")
    path.symlink_to(tmp_path / "real.json")
    CredentialFiles(environment).save("r.example", Credentials("joe", "x"))
    assert path.is_symlink()
    assert "r.example" in (tmp_path / "real.json").read_text()


def test_a_helper_that_hangs_is_told_of_and_can_be_interrupted(tmp_path: Path) -> None:
    environment = config(tmp_path, {"credsStore": "slow"})
    helper(tmp_path, "slow", "exec sleep 600")
    told: list[str] = []

    def check() -> None:
        if told:
            raise Cancelled(2)

    files = CredentialFiles(environment, waiting=Waiting(check, told.append, quiet=0.0))
    with pytest.raises(Cancelled):
        files.find("r.example")
    assert told == ["waiting for the credential helper docker-credential-slow"]


def test_a_helper_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    environment = config(tmp_path, {"credsStore": "slow"})
    helper(tmp_path, "slow", "sleep 5 & exec sleep 600")  # a child keeps the pipes open
    files = CredentialFiles(environment, waiting=Waiting(patience=0.0, tell=lambda _: None))
    with pytest.raises(UsageError, match=r"docker-credential-slow has not answered for 0 seconds"):
        files.find("r.example")


def test_a_pipe_is_no_file_of_logins(tmp_path: Path) -> None:
    environment = config(tmp_path, {})
    path = tmp_path / ".docker/config.json"
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(UsageError, match=r"config\.json is a pipe"):
        CredentialFiles(environment).find("r.example")
