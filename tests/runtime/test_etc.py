"""Texts of the generated files of /etc."""

import pytest

from runtime import etc
from runtime.errors import SpecError
from runtime.spec import Resolver

HOST = """\
# made by something
nameserver 127.0.0.53
nameserver 192.0.2.53
domain old.example
search a.example b.example
options edns0
options trust-ad
"""


def test_servers_on_the_loopback_go_where_it_is_not_the_hosts() -> None:
    text = etc.resolv_conf(HOST, Resolver(), loopback=False)
    assert text == ("nameserver 192.0.2.53\nsearch a.example b.example\noptions edns0 trust-ad\n")
    assert "127.0.0.53" in etc.resolv_conf(HOST, Resolver(), loopback=True)


def test_what_is_asked_for_replaces_its_line() -> None:
    resolver = Resolver(servers=("192.0.2.1", "127.0.0.1"), search=("c.example",))
    text = etc.resolv_conf(HOST, resolver, loopback=False)
    assert text.splitlines() == [
        "nameserver 192.0.2.1",
        "nameserver 127.0.0.1",
        "search c.example",
        "options edns0 trust-ad",
    ]


def test_an_empty_file_of_the_host_gives_an_empty_one() -> None:
    assert etc.resolv_conf("", Resolver(), loopback=False) == ""


def test_hosts_have_the_own_name_and_what_was_added() -> None:
    text = etc.hosts("box", "10.0.0.2", [("db", "10.0.0.3"), ("six", "[2001:db8::1]")])
    assert text.splitlines()[0] == "127.0.0.1\tlocalhost"
    assert text.splitlines()[-3:] == ["10.0.0.2\tbox", "10.0.0.3\tdb", "2001:db8::1\tsix"]


def test_hosts_of_the_host_are_kept_on_its_network() -> None:
    assert etc.hosts("localhost", "", [], "192.0.2.9 far\n") == "192.0.2.9 far\n"


@pytest.mark.parametrize(("name", "address"), [("a b", "1.2.3.4"), ("a", "nonsense"), ("", "::1")])
def test_senseless_hosts_are_refused(name: str, address: str) -> None:
    with pytest.raises(SpecError):
        etc.hosts("box", "", [(name, address)])
