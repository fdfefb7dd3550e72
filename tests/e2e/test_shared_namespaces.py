"""Containers that share namespaces: `run --ipc`, `--uts`, `--cgroupns`, `--network ns:PATH`."""

import os
from collections.abc import Iterator

import pytest

from tests.callers import Caller
from tests.leftovers import nothing_left
from tests.program import Pybuild

NONE = ("--network", "none")
FILES = {"ipc": "ipc", "uts": "uts", "cgroupns": "cgroup", "network": "net"}
LOOK = f"for n in {' '.join(FILES.values())}; do readlink /proc/self/ns/$n; done"


@pytest.fixture(scope="module", params=["root", "rootless"])
def pybuild(request: pytest.FixtureRequest) -> Iterator[Pybuild]:
    """Give pybuild with a container `x` that runs; nothing is left of containers in the end."""
    caller: Caller = request.getfixturevalue(f"as_{request.param}")
    program = caller.fresh()
    with nothing_left(program):
        options = ("-d", "--name", "x", *NONE, "--hostname", "xbox")
        program("run", *options, "busybox", "sleep", "1000").ok()
        yield program
        program("rm", "-f", "-a").ok()


def seen(pybuild: Pybuild, *options: str) -> dict[str, str]:
    """Return the namespaces of a container with these options."""
    if not options or options[0] != "--network":
        options = (*NONE, *options)
    done = pybuild("run", "--rm", *options, "busybox", "sh", "-c", LOOK).ok()
    return dict(zip(FILES, done.output.split(), strict=True))


def test_each_namespace_can_be_the_host_s_or_another_container_s(pybuild: Pybuild) -> None:
    host = {name: os.readlink(f"/proc/self/ns/{file}") for name, file in FILES.items()}
    pid = pybuild.inspect("x")["State"]["Pid"]
    x = {name: os.readlink(f"/proc/{pid}/ns/{file}") for name, file in FILES.items()}
    own = seen(pybuild)
    assert not set(own.values()) & {*host.values(), *x.values()}
    for name in ("ipc", "uts", "cgroupns"):
        for value, whose in (("host", host), ("container:x", x)):
            found = seen(pybuild, f"--{name}", value)
            others = {*found.values()} & {*host.values(), *x.values()}
            assert others == {whose[name]}, (name, value)
    assert seen(pybuild, "--network", "ns:/proc/self/ns/net")["network"] == host["network"]
    if pybuild.identity.get("user") is None and os.geteuid() == 0:
        for name, file in FILES.items():
            found = seen(pybuild, f"--{name}", f"ns:/proc/{pid}/ns/{file}")
            assert found[name] == x[name]


def test_shared_memory_and_names_go_along(pybuild: Pybuild) -> None:
    options = ("-d", "--name", "y", *NONE, "--ipc", "container:x", "--uts", "container:x")
    pybuild("run", *options, "busybox", "sleep", "1000").ok()
    pybuild("exec", "x", "sh", "-c", "echo shared > /dev/shm/f").ok()
    look = (
        "exec",
        "y",
        "sh",
        "-c",
        "cat /dev/shm/f; hostname; echo $HOSTNAME; tail -n 1 /etc/hosts",
    )
    expected = ["shared", "xbox", "xbox", "127.0.1.1", "xbox"]
    assert pybuild(*look).ok().output.split() == expected
    pybuild("restart", "-t", "0", "y").ok()
    assert pybuild(*look).ok().output.split() == expected
    pybuild("stop", "-t", "0", "y").ok()
    pybuild("start", "y").ok()
    assert pybuild(*look).ok().output.split() == expected
    assert pybuild("exec", "y", "sh", "-c", LOOK).ok().output != pybuild(*look).output
    pybuild("rm", "-f", "y").ok()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--ipc", "container:nobody"), "there is no container 'nobody'"),
        (("--ipc", "ns:/proc/self/ns/net"), "it is one of another kind"),
        (("--ipc", "ns:/dev/null"), "it is no namespace"),
        (("--network", "ns:/none"), "no such file or directory"),
        (("--ipc", "host", "--sysctl", "kernel.shmmax=1"), "is not the sandbox's own"),
        (("--uts", "host", "--sysctl", "kernel.domainname=a"), "is not the sandbox's own"),
    ],
)
def test_what_cannot_be_shared_is_refused(
    as_root: Caller, options: tuple[str, ...], message: str
) -> None:
    done = as_root.pybuild("run", "--rm", *options, "busybox", "true")
    assert done.status == 125
    assert message in done.errors
