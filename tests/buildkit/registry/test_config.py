"""registries.conf, certs.d and the variable: where images come from and how hosts are trusted."""

from pathlib import Path

import pytest

from buildkit.errors import UsageError
from buildkit.oci.reference import Reference
from buildkit.registry.config import load_hosts, parse_rules
from buildkit.registry.hosts import Hosts

CONF = """
unqualified-search-registries = ["quay.io"]
short-name-mode = "permissive"

[[registry]]
prefix = "docker.io"
location = "docker.io"
[[registry.mirror]]
location = "mirror.example:5000/hub"
insecure = true
[[registry.mirror]]
location = "digests.example"
pull-from-mirror = "digest-only"

[[registry]]
prefix = "docker.io/team"
location = "inner.example/ours"

[[registry]]
location = "plain.example"
insecure = true

[[registry]]
location = "http://written.example:8080"

[[registry]]
prefix = "*.corp.example"
location = "gateway.example"

[[registry]]
location = "private.example"
ca = ["/one.pem", "/two.pem"]
"""


def places(hosts: Hosts, name: str) -> list[str]:
    return [
        f"{place.endpoint.scheme} {place.endpoint.host}/{place.repository}"
        for place in hosts.places(Reference.parse(name))
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("debian", ["either mirror.example:5000/hub/library/debian",
                    "https registry-1.docker.io/library/debian"]),
        ("debian@sha256:" + "0" * 64, ["either mirror.example:5000/hub/library/debian",
                                       "https digests.example/library/debian",
                                       "https registry-1.docker.io/library/debian"]),
        ("team/app", ["https inner.example/ours/app"]),
        ("teamwork/app", ["either mirror.example:5000/hub/teamwork/app",
                          "https registry-1.docker.io/teamwork/app"]),
        ("plain.example/a/b", ["either plain.example/a/b"]),
        ("plain.example:5000/a", ["https plain.example:5000/a"]),
        ("written.example:8080/a", ["http written.example:8080/a"]),
        ("dev.corp.example/a/b", ["https gateway.example/a/b"]),
        ("private.example/a", ["https private.example/a"]),
        ("other.example/a", ["https other.example/a"]),
        ("localhost:5000/a", ["either localhost:5000/a"]),
        ("127.0.0.1:5000/a", ["either 127.0.0.1:5000/a"]),
        ("[::1]:5000/a", ["either [::1]:5000/a"]),
    ],
)  # fmt: skip
def test_a_name_is_looked_for_in_these_places(name: str, expected: list[str]) -> None:
    assert places(Hosts(parse_rules(CONF, "registries.conf")), name) == expected


def test_only_insecure_hosts_are_not_verified() -> None:
    hosts = Hosts(parse_rules(CONF, "registries.conf"))
    mirror, hub = hosts.places(Reference.parse("debian"))
    assert not mirror.endpoint.trust.verify
    assert hub.endpoint.trust.verify
    (private,) = hosts.places(Reference.parse("private.example/a"))
    assert private.endpoint.trust.authorities == ("/one.pem", "/two.pem")


def test_pushes_go_to_the_registry_itself() -> None:
    hosts = Hosts(parse_rules(CONF, "registries.conf"))
    assert hosts.home(Reference.parse("debian")).endpoint.host == "registry-1.docker.io"
    assert hosts.home(Reference.parse("team/app")).endpoint.host == "inner.example"


def test_a_call_can_say_that_a_host_is_insecure() -> None:
    hosts = Hosts().trusting("a.example", verify=False)
    assert hosts.endpoint("a.example").scheme == "either"
    assert not hosts.endpoint("a.example").trust.verify
    assert hosts.endpoint("b.example").trust.verify


WRONG = [
    ("[[registry", "is not TOML"),
    ("[registries.search]\nregistries = ['x']", "the old form"),
    ("[[registry]]\nblocked = true", "neither prefix nor location"),
    ("[[registry]]\nlocation = 5", "registry.0..location is not a text"),
    ("[[registry]]\nlocation = 'a.b'\ninsecure = 'yes'", "insecure is neither true nor false"),
    ("[[registry]]\nlocation = 'a b'", "registry.0..location"),
    ("[[registry]]\nlocation = 'joe:x@a.b'", "not a registry's location"),
    ("[[registry]]\nlocation = 'a.b'\n[[registry.mirror]]\nlocation='a.c'\npull-from-mirror='x'",
     "mirror.0..pull-from-mirror"),
    ("registry = 5", "not a list of tables"),
    ("[[registry]]\nlocation = 'a.b'\nca = 7", "ca is neither"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), WRONG)
def test_a_mistake_is_named_with_its_place(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_rules(text, "registries.conf")


def test_the_variable_adds_mirrors_before_those_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "r.conf").write_text(CONF)
    hosts = load_hosts(
        {
            "PYBUILD_REGISTRIES_CONF": str(tmp_path / "r.conf"),
            "PYBUILD_REGISTRY_MIRRORS": "docker.io=http://127.0.0.1:5000, quay.io=q.example/sub",
        }
    )
    assert places(hosts, "debian")[:2] == [
        "http 127.0.0.1:5000/library/debian",
        "either mirror.example:5000/hub/library/debian",
    ]
    assert places(hosts, "quay.io/a/b") == ["https q.example/sub/a/b", "https quay.io/a/b"]


@pytest.mark.parametrize("text", ["docker.io", "=x", "docker.io=", "docker.io=http://", "a b=c"])
def test_a_mistake_in_the_variable_is_an_error(text: str) -> None:
    with pytest.raises(UsageError, match="PYBUILD_REGISTRY_MIRRORS"):
        load_hosts({"PYBUILD_REGISTRY_MIRRORS": text, "HOME": "/nonexistent"})


def test_files_are_looked_for_in_order(tmp_path: Path) -> None:
    def write(path: str, location: str) -> None:
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(f'[[registry]]\nprefix = "r.example"\nlocation = "{location}"\n')

    environment = {"HOME": str(tmp_path)}
    write(".config/containers/registries.conf", "one.example")
    assert places(load_hosts(environment), "r.example/a") == ["https one.example/a"]
    write(".config/pybuild/registries.conf", "two.example")
    assert places(load_hosts(environment), "r.example/a") == ["https two.example/a"]
    write(".config/containers/registries.conf.d/9.conf", "three.example")
    assert places(load_hosts(environment), "r.example/a") == ["https three.example/a"]
    write("named.conf", "four.example")
    environment["CONTAINERS_REGISTRIES_CONF"] = str(tmp_path / "named.conf")
    assert places(load_hosts(environment), "r.example/a") == ["https four.example/a"]


def test_a_named_file_must_be_there() -> None:
    with pytest.raises(UsageError, match="PYBUILD_REGISTRIES_CONF"):
        load_hosts({"PYBUILD_REGISTRIES_CONF": "/nonexistent/x"})


def test_a_file_of_the_old_form_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "old.conf"
    path.write_text("[registries.insecure]\nregistries = ['r.example']\n")
    with pytest.raises(UsageError, match=r"has the old form, with \[registries\]"):
        load_hosts({"PYBUILD_REGISTRIES_CONF": str(path)})
    path.write_text("unqualified-search-registries = ['r.example']\n")
    assert places(load_hosts({"PYBUILD_REGISTRIES_CONF": str(path)}), "s.example/a") == [
        "https s.example/a"
    ]


def test_certificates_lie_in_directories_by_host(tmp_path: Path) -> None:
    directory = tmp_path / ".config/containers/certs.d/r.example:5000"
    directory.mkdir(parents=True)
    for name in ("ca.crt", "client.cert", "client.key"):
        (directory / name).touch()
    hosts = load_hosts({"HOME": str(tmp_path)})
    trust = hosts.endpoint("r.example:5000").trust
    assert trust.authorities == (str(directory / "ca.crt"),)
    assert (trust.certificate, trust.key) == (
        str(directory / "client.cert"),
        str(directory / "client.key"),
    )
    assert hosts.endpoint("r.example").trust.authorities == ()
