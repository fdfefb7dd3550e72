"""The options of `run` and `create`, as a parser is told of them; see `run_options.py`.

In: a parser. Out: it, with the options. Names and meaning are docker's and podman's.
"""

from __future__ import annotations

from buildkit.cli.arguments import REMAINDER, Parser
from buildkit.cli.options import patience, seconds, truth


def add_arguments(parser: Parser) -> None:
    """Declare the options."""
    _declare_container(parser)
    _declare_command(parser)
    _declare_files(parser)
    _declare_network(parser)
    _declare_limits(parser)
    _declare_security(parser)
    _declare_health(parser)
    parser.add_argument("image", metavar="IMAGE")
    parser.add_argument("command", nargs=REMAINDER, metavar="COMMAND")


def _declare_container(parser: Parser) -> None:
    add = parser.add_argument_group("container").add_argument
    add("-d", "--detach", action="store_true", help="leave it running, print its ID")
    add("--rm", action="store_true", help="remove it when it has ended")
    add("--name", default="", metavar="NAME")
    add("--replace", action="store_true", help="remove the container that has the name now")
    add("-l", "--label", action="append", default=[], metavar="NAME=VALUE")
    add("--label-file", action="append", default=[], metavar="FILE")
    add("--cidfile", metavar="FILE", help="write its ID there")
    add("--restart", default="no", metavar="POLICY", help="no, on-failure[:N], always, ...")
    add("--stop-signal", default="", metavar="SIGNAL")
    add("--stop-timeout", type=patience, default=10.0, metavar="SECONDS", help="then it is killed")
    add("--pidfile", default="", metavar="FILE", help="where the number of its process is kept")
    add("--annotation", action="append", default=[], metavar="NAME=VALUE")
    add("--timeout", type=seconds, default=0.0, metavar="SECONDS", help="kill it after that")
    add("--log-driver", default="", metavar="NAME", help="k8s-file or none")
    add("--log-opt", action="append", default=[], metavar="NAME=VALUE", help="max-size, max-file")
    add("--pull", default="missing", choices=("missing", "always", "never", "newer"))
    add("--platform", default="", metavar="OS/ARCH")
    for name in ("os", "arch", "variant"):
        add(f"--{name}", default="", metavar=name.upper(), help="part of --platform")
    add("-q", "--quiet", action="store_true", help="a pull says nothing; so it is anyway")
    add("--authfile", default="", metavar="FILE", help="of logins, for a pull")
    add("--tls-verify", default="", metavar="true|false", help="for a pull")


def _declare_command(parser: Parser) -> None:
    add = parser.add_argument_group("command").add_argument
    add("-e", "--env", action="append", default=[], metavar="NAME[=VALUE]")
    add("--env-file", action="append", default=[], metavar="FILE")
    add("--env-host", action="store_true", help="the caller's variables, below the image's")
    add("--env-merge", action="append", default=[], metavar="NAME=VALUE", help="with ${NAME} in it")
    add("--unsetenv", action="append", default=[], metavar="NAME", help="of the image's variables")
    add("--unsetenv-all", action="store_true", help="none of the image's variables")
    add("-w", "--workdir", default="", metavar="DIR")
    add("-u", "--user", default="", metavar="NAME|UID[:GROUP|GID]")
    add("--group-add", action="append", default=[], metavar="GROUP")
    add("--umask", default="0022", metavar="MODE")
    add("-i", "--interactive", action="store_true", help="keep standard input open")
    add("-t", "--tty", action="store_true", help="give the command a terminal")
    add("-a", "--attach", action="append", default=[], metavar="STREAM")
    add("--detach-keys", default="ctrl-p,ctrl-q", metavar="KEYS", help="typed, they leave it alone")
    add("--sig-proxy", nargs="?", const=True, default=True, type=truth, metavar="true|false")
    add("--entrypoint", metavar="PROGRAM|JSON", help="replaces ENTRYPOINT and clears CMD")
    add("--init", action="store_true", help="a reaper is process 1")


def _declare_files(parser: Parser) -> None:
    add = parser.add_argument_group("files").add_argument
    add("-v", "--volume", action="append", default=[], metavar="SOURCE:TARGET[:ro]")
    add(
        "--mount",
        action="append",
        default=[],
        metavar="type=TYPE,source=S,target=T",
        help="bind, volume, tmpfs or image",
    )
    add("--tmpfs", action="append", default=[], metavar="TARGET[:OPTIONS]")
    add("--volumes-from", action="append", default=[], metavar="CONTAINER[:ro]")
    add("--tz", default="", metavar="ZONE|local", help="time zone")
    add("--read-only", action="store_true", help="the root file system cannot be written")
    add("--read-only-tmpfs", nargs="?", const=True, default=True, type=truth, metavar="true|false")
    add("--image-volume", default="bind", metavar="bind|tmpfs|ignore")
    add("--rootfs", action="store_true", help="IMAGE is a directory")
    add("--secret", action="append", default=[], metavar="id=ID,src=FILE")
    add("--shm-size", metavar="SIZE")
    add("--device", action="append", default=[], metavar="/dev/X[:/dev/Y]")


def _declare_network(parser: Parser) -> None:
    add = parser.add_argument_group("network").add_argument
    add(
        "--network",
        "--net",
        default="default",
        metavar="default|none|host|container:NAME|ns:PATH",
    )
    add("-p", "--publish", action="append", default=[], metavar="[[IP:]HOST:]CONTAINER[/udp]")
    add("-P", "--publish-all", action="store_true", help="every exposed port, on free ones")
    add("--expose", action="append", default=[], metavar="PORT[/PROTO]")
    add("--hostname", default="", metavar="NAME")
    add("--network-alias", action="append", default=[], metavar="NAME", help="a further name there")
    add("--ip", default="", metavar="ADDRESS", help="on the bridge")
    add("--mac-address", default="", metavar="ADDRESS")
    add("--no-hosts", action="store_true", help="/etc/hosts is the image's")
    add("--add-host", action="append", default=[], metavar="NAME:IP", help="or NAME:host-gateway")
    add("--dns", action="append", default=[], metavar="IP")
    add("--dns-search", action="append", default=[], metavar="DOMAIN")
    add("--dns-option", "--dns-opt", action="append", default=[], metavar="OPTION")


def _declare_limits(parser: Parser) -> None:
    add = parser.add_argument_group("limits").add_argument
    add("-m", "--memory", metavar="SIZE")
    add("--memory-swap", metavar="SIZE", help="memory and swap together; -1 is unlimited")
    add("--memory-reservation", metavar="SIZE", help="what is left to it when memory is short")
    add("--memory-swappiness", type=int, metavar="0-100", help="control groups of version 1")
    add("--oom-kill-disable", action="store_true", help="control groups of version 1")
    add("--oom-score-adj", type=int, metavar="-1000-1000")
    add("--cpus", type=float, metavar="N")
    add("--cpu-shares", "-c", type=int, metavar="N", help="relative weight; usually 1024")
    add("--cpu-period", type=int, metavar="MICROSECONDS")
    add("--cpu-quota", type=int, metavar="MICROSECONDS", help="in each period")
    add("--cpuset-cpus", default="", metavar="LIST")
    add("--cpuset-mems", default="", metavar="LIST", help="memory nodes")
    add("--cgroup-parent", default="", metavar="PATH", help="the control group above its own")
    add("--pids-limit", type=int, metavar="N")
    add("--ulimit", action="append", default=[], metavar="NAME=SOFT[:HARD]")


def _declare_security(parser: Parser) -> None:
    add = parser.add_argument_group("security").add_argument
    add("--cap-add", action="append", default=[], metavar="CAPABILITY")
    add("--cap-drop", action="append", default=[], metavar="CAPABILITY")
    add("--privileged", action="store_true", help="all capabilities, no filter, no masks")
    add("--security-opt", action="append", default=[], metavar="OPTION")
    add("--sysctl", action="append", default=[], metavar="NAME=VALUE")
    for name in ("ipc", "uts", "cgroupns"):
        add(f"--{name}", default="", metavar="host|private|container:NAME|ns:PATH")
    add("--pid", default="", metavar="private")
    add(
        "--userns",
        default="",
        metavar="MODE",
        help="host, keep-id, auto, nomap, private, container:NAME, ns:PATH",
    )
    add("--uidmap", action="append", default=[], metavar="CONTAINER:HOST:AMOUNT")
    add("--gidmap", action="append", default=[], metavar="CONTAINER:HOST:AMOUNT")
    add("--subuidname", default="", metavar="NAME", help="user ids of NAME in /etc/subuid")
    add("--subgidname", default="", metavar="NAME", help="group ids of NAME in /etc/subgid")


def _declare_health(parser: Parser) -> None:
    add = parser.add_argument_group("health").add_argument
    add("--health-cmd", metavar="COMMAND")
    for name in ("interval", "timeout", "start-period", "start-interval"):
        add(f"--health-{name}", metavar="TIME")
    add("--health-retries", type=int, metavar="N")
    add("--health-on-failure", default="", metavar="none|kill|restart|stop")
    add("--no-healthcheck", action="store_true")
