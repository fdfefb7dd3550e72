"""What the options of `run` mean, and which make no sense."""

import pytest

from buildkit.cli import run_flags
from buildkit.cli.argument_reader import read
from buildkit.cli.options import parser_for
from buildkit.cli.run_options import wishes_of
from buildkit.containers.making import Wishes
from buildkit.containers.namespaces import Wanted
from buildkit.errors import UsageError
from runtime.container import Place
from runtime.spec import Resources


def wishes(*options: str) -> Wishes:
    """Return what `pybuild run OPTIONS image true` asks for."""
    parser = parser_for("run", "")
    run_flags.add_arguments(parser)
    return wishes_of(read(parser, [*options, "image", "true"]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--uts", "own"), "unknown --uts 'own'"),
        (("--uts", "host", "--hostname", "a"), "has no other host name"),
        (("--pid", "host"), "--pid=host is refused: nothing of a container outlives it"),
        (("--pid", "container:x"), "--pid=container:x is refused"),
        (("--pid", "x"), "unknown --pid 'x'"),
        (("--ipc", "container:x", "--userns", "private"), "exclude each other"),
        (("--uidmap", "0:1:9", "--network", "container:x"), "exclude each other"),
        (("--network", "ns:/x", "-p", "80"), "ports cannot be published"),
        (("--ip", "10.87.0.300"), "no IPv4 address"),
        (("--ip", "10.87.0.9", "--network", "none"), "do not go with --network=none"),
        (("--mac-address", "x"), "no MAC address"),
        (("--mac-address", "01:00:00:00:00:00"), "one of a group"),
        (("--network-alias", "a b"), "is no host name"),
        (("--network-alias", "a", "--network", "host"), "does not go with"),
        (("--cpu-shares", "1"), "from 2 to 262144"),
        (("--cpu-quota", "5"), "1000 or more"),
        (("--cpus", "1", "--cpu-quota", "5000"), "exclude each other"),
        (("--cpus", "nan"), "--cpus is from 0.01 to 100000, not nan"),
        (("--cpus", "1e400"), "--cpus is from 0.01"),
        (("--cpus", "0"), "--cpus is from 0.01"),
        (("--memory-swap", "junk"), "invalid value for --memory-swap: junk"),
        (("--memory-swap", "1m"), "--memory-swap needs --memory"),
        (("--memory", "2m", "--memory-swap", "1m"), "--memory-swap is below --memory"),
        (("--pids-limit=-2",), "--pids-limit is -1 for none"),
        (("--umask=-1",), "invalid umask '-1'"),
        (("--umask", "00222"), "invalid umask"),
        (("--health-retries=-1",), "must not be negative"),
        (("--sig-proxy=perhaps",), "'perhaps' is neither true nor false"),
        (("--read-only-tmpfs", "image"), "'image' is neither true nor false"),
        (("--cpuset-mems", "a"), "invalid list"),
        (("--cgroup-parent", "/a/../b"), "invalid --cgroup-parent"),
        (("--memory", "1m", "--memory-reservation", "2m"), "above the limit"),
        (("--oom-score-adj", "2000"), "from -1000 to 1000"),
        (("--health-on-failure", "x"), "unknown --health-on-failure"),
        (("--image-volume", "x"), "unknown --image-volume"),
        (("--no-hosts", "--add-host", "a:192.0.2.1"), "exclude each other"),
        (("--platform", "linux", "--arch", "arm64"), "exclude each other"),
        (("--tz", "../../etc/passwd"), "there is no time zone"),
    ],
)
def test_what_makes_no_sense_is_refused(options: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        wishes(*options)


def test_namespaces_are_told_apart() -> None:
    made = wishes("--ipc", "host", "--uts", "container:x", "--cgroupns", "private", "--pid", "")
    assert made.namespaces == (Wanted("ipc", "host"), Wanted("uts", "container", "x"))
    assert made.others == ("x",)
    made = wishes("--network", "ns:/run/x", "--ipc", "shareable")
    assert made.namespaces == (Wanted("network", "path", "/run/x"),)
    assert made.options.network == "default"
    assert wishes().namespaces == ()


def test_limits_are_taken_over() -> None:
    options = ("--cpu-shares", "5", "--memory-reservation", "1m", "--cgroup-parent", "/a/b")
    found = wishes(*options, "--oom-kill-disable").options.resources
    assert found == Resources(
        account=True,
        cpu_shares=5,
        memory_reservation=1 << 20,
        parent="/a/b",
        oom_kill_disable=True,
    )
    assert wishes().options.resources == Resources()


def test_a_place_is_written_in_one_way() -> None:
    made = wishes("--ip", "192.0.2.7", "--mac-address", "02-AB-00-00-00-01")
    assert made.place == Place("192.0.2.7", "02:ab:00:00:00:01")
