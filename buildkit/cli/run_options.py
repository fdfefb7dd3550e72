"""The options of `run` and `create`: declared for argparse, and turned into `Wishes`.

In: parsed arguments. Out: values, or UsageError. Names and meaning are docker's and podman's.
"""

import argparse
import os
from typing import TYPE_CHECKING

from buildkit.containers import flags
from buildkit.containers.create import Wishes
from buildkit.containers.mounts import parse_mount, parse_tmpfs, parse_volume
from buildkit.containers.store import check_name
from buildkit.errors import UsageError
from buildkit.launch import RunOptions
from runtime.container import HealthCheck, Port
from runtime.errors import SandboxError
from runtime.spec import DEFAULT_CAPABILITIES, SHM_SIZE, NetworkMode, Resolver, Resources

if TYPE_CHECKING:
    from buildkit.containers.namespaces import Wanted
    from buildkit.containers.user_mode import UserMode

_PROFILE_LIMIT = 1 << 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    _declare_container(parser)
    _declare_command(parser)
    _declare_files(parser)
    _declare_network(parser)
    _declare_limits(parser)
    _declare_security(parser)
    _declare_health(parser)
    parser.add_argument("image", metavar="IMAGE")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND")


def _declare_container(parser: argparse.ArgumentParser) -> None:
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
    add("--stop-timeout", type=float, default=10.0, metavar="SECONDS", help="then it is killed")
    add("--timeout", type=float, default=0.0, metavar="SECONDS", help="kill it after that")
    add("--log-driver", default="", metavar="NAME", help="k8s-file or none")
    add("--log-opt", action="append", default=[], metavar="NAME=VALUE", help="max-size, max-file")
    add("--pull", default="missing", choices=("missing", "always", "never", "newer"))
    add("--platform", default="", metavar="OS/ARCH")


def _declare_command(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("command").add_argument
    add("-e", "--env", action="append", default=[], metavar="NAME[=VALUE]")
    add("--env-file", action="append", default=[], metavar="FILE")
    add("-w", "--workdir", default="", metavar="DIR")
    add("-u", "--user", default="", metavar="NAME|UID[:GROUP|GID]")
    add("--group-add", action="append", default=[], metavar="GROUP")
    add("--umask", default="0022", metavar="MODE")
    add("-i", "--interactive", action="store_true", help="keep standard input open")
    add("-t", "--tty", action="store_true", help="give the command a terminal")
    add("-a", "--attach", action="append", default=[], metavar="STREAM")
    add("--detach-keys", default="ctrl-p,ctrl-q", metavar="KEYS", help="typed, they leave it alone")
    add("--sig-proxy", nargs="?", const="true", default="true", metavar="BOOL")
    add("--entrypoint", metavar="PROGRAM|JSON", help="replaces ENTRYPOINT and clears CMD")
    add("--init", action="store_true", help="a reaper is process 1")


def _declare_files(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("files").add_argument
    add("-v", "--volume", action="append", default=[], metavar="SOURCE:TARGET[:ro]")
    add("--mount", action="append", default=[], metavar="type=TYPE,source=S,target=T")
    add("--tmpfs", action="append", default=[], metavar="TARGET[:OPTIONS]")
    add("--read-only", action="store_true", help="the root file system cannot be written")
    add("--rootfs", action="store_true", help="IMAGE is a directory")
    add("--secret", action="append", default=[], metavar="id=ID,src=FILE")
    add("--shm-size", metavar="SIZE")
    add("--device", action="append", default=[], metavar="/dev/X[:/dev/Y]")


def _declare_network(parser: argparse.ArgumentParser) -> None:
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
    add("--add-host", action="append", default=[], metavar="NAME:IP")
    add("--dns", action="append", default=[], metavar="IP")
    add("--dns-search", action="append", default=[], metavar="DOMAIN")
    add("--dns-option", "--dns-opt", action="append", default=[], metavar="OPTION")


def _declare_limits(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("limits").add_argument
    add("-m", "--memory", metavar="SIZE")
    add("--memory-swap", metavar="SIZE", help="memory and swap together; -1 is unlimited")
    add("--cpus", type=float, metavar="N")
    add("--cpuset-cpus", default="", metavar="LIST")
    add("--pids-limit", type=int, metavar="N")
    add("--ulimit", action="append", default=[], metavar="NAME=SOFT[:HARD]")


def _declare_security(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("security").add_argument
    add("--cap-add", action="append", default=[], metavar="CAPABILITY")
    add("--cap-drop", action="append", default=[], metavar="CAPABILITY")
    add("--privileged", action="store_true", help="all capabilities, no filter, no masks")
    add("--security-opt", action="append", default=[], metavar="OPTION")
    add("--sysctl", action="append", default=[], metavar="NAME=VALUE")
    for name in ("ipc", "uts", "cgroupns"):
        add(f"--{name}", default="", metavar="host|private|container:NAME|ns:PATH")
    add("--pid", default="", metavar="private")
    add("--userns", default="", metavar="MODE", help="host, keep-id, auto, nomap, private")
    add("--uidmap", action="append", default=[], metavar="CONTAINER:HOST:AMOUNT")
    add("--gidmap", action="append", default=[], metavar="CONTAINER:HOST:AMOUNT")
    add("--subuidname", default="", metavar="NAME", help="user ids of NAME in /etc/subuid")
    add("--subgidname", default="", metavar="NAME", help="group ids of NAME in /etc/subgid")


def _declare_health(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("health").add_argument
    add("--health-cmd", metavar="COMMAND")
    for name in ("interval", "timeout", "start-period", "start-interval"):
        add(f"--health-{name}", metavar="TIME")
    add("--health-retries", type=int, metavar="N")
    add("--no-healthcheck", action="store_true")


def wishes_of(args: argparse.Namespace) -> Wishes:
    """Return what the arguments ask for."""
    _check(args)
    kind, colon, beside = args.network.partition(":")
    shared = kind == "container" and bool(colon)
    others = _others(args)
    shares = shared or any(one.namespace == "network" for one in others)
    network = "default" if shares else network_of(args.network)
    if (shares or network != "default") and (args.publish or args.publish_all):
        raise UsageError(
            f"ports cannot be published with --network={args.network}", hint="leave -p out"
        )
    if args.hostname and (shared or any(one.namespace == "uts" for one in others)):
        raise UsageError("a container that shares a network or its name has no other host name")
    return Wishes(
        options=_options(args, network),
        name=check_name(args.name) if args.name else "",
        labels=flags.parse_labels(args.label, args.label_file),
        mounts=(
            *map(parse_volume, args.volume),
            *map(parse_mount, args.mount),
            *map(parse_tmpfs, args.tmpfs),
        ),
        secrets=tuple(map(flags.parse_secret, args.secret)),
        ports=tuple(port for text in args.publish for port in ports_of(text)),
        exposed=tuple(text if "/" in text else f"{text}/tcp" for text in args.expose),
        publish_all=args.publish_all,
        signal=flags.parse_signal(args.stop_signal) if args.stop_signal else 0,
        stop_timeout=args.stop_timeout,
        timeout=args.timeout,
        restart=flags.parse_restart(args.restart),
        logging=flags.parse_logging(args.log_driver, args.log_opt),
        health=_health(args),
        checks=not args.no_healthcheck and args.health_cmd != "none",
        interactive=args.interactive,
        attached=not args.detach,
        remove=args.rm,
        beside=beside if shared else "",
        userns=_userns(args, joined=shares or any(one.kind != "host" for one in others)),
        namespaces=others,
    )


def _others(args: argparse.Namespace) -> "tuple[Wanted, ...]":
    """Return the namespaces that are not the container's own, but for another's network."""
    path = args.network.startswith("ns:")
    if not (args.ipc or args.uts or args.cgroupns or args.pid or path):
        return ()
    from buildkit.containers import namespaces  # for these options only

    namespaces.check_pid(args.pid)
    found = (
        namespaces.parse("--ipc", "ipc", args.ipc),
        namespaces.parse("--uts", "uts", args.uts),
        namespaces.parse("--cgroupns", "cgroup", args.cgroupns),
        namespaces.parse("--network", "network", args.network) if path else None,
    )
    return tuple(one for one in found if one is not None)


def _userns(args: argparse.Namespace, *, joined: bool) -> "UserMode | None":
    names = (args.subuidname, args.subgidname)
    if args.userns in ("", "host") and not (args.uidmap or args.gidmap or any(names)):
        return None
    from buildkit.containers import user_mode  # for these options only

    mode = user_mode.mode_of(args.userns, args.uidmap, args.gidmap, names)
    if mode is not None and joined:
        raise UsageError(
            "namespaces of others and user ids of its own exclude each other",
            hint="a namespace belongs to the user namespace that it was made in",
        )
    return mode


def _check(args: argparse.Namespace) -> None:
    if args.tty and args.interactive and not args.detach and not os.isatty(0):
        raise UsageError("the input device is not a terminal", hint="leave -t out")
    if args.rm and args.restart not in ("no", ""):
        raise UsageError("--rm and --restart exclude each other")
    for option, values in (("--health-cmd", args.health_cmd), ("--memory", args.memory)):
        if values == "":
            raise UsageError(f"{option} needs a value")


def network_of(text: str) -> NetworkMode:
    """Return the network mode that `--network` means."""
    modes: dict[str, NetworkMode] = {
        "default": "default",
        "bridge": "default",
        "private": "default",
        "none": "none",
        "host": "host",
    }
    if text in modes:
        return modes[text]
    raise UsageError(
        f"unknown network {text!r}", hint="there are default, none, host, container:NAME, ns:PATH"
    )


def _options(args: argparse.Namespace, network: NetworkMode) -> RunOptions:
    words = args.command[1:] if args.command[:1] == ["--"] else args.command
    options = RunOptions(
        command=tuple(words),
        entrypoint=None if args.entrypoint is None else flags.parse_entrypoint(args.entrypoint),
        env=flags.parse_env(args.env, args.env_file),
        workdir=args.workdir,
        user=args.user,
        groups=tuple(args.group_add),
        hostname=args.hostname,
        network=network,
        extra_hosts=tuple(map(flags.parse_host, args.add_host)),
        resolver=Resolver(tuple(args.dns), tuple(args.dns_search), tuple(args.dns_option)),
        terminal=args.tty,
        init=args.init,
        readonly=args.read_only,
        resources=resources_of(args),
        rlimits=tuple(map(flags.parse_ulimit, args.ulimit)),
        shm_size=flags.size_of("--shm-size", args.shm_size) if args.shm_size else SHM_SIZE,
        umask=_umask(args.umask),
        devices=tuple(map(flags.parse_device, args.device)),
        sysctls=tuple(map(flags.parse_sysctl, args.sysctl)),
        privileged=args.privileged,
        added=tuple(name for text in args.cap_add for name in text.split(",")),
        dropped=tuple(name for text in args.cap_drop for name in text.split(",")),
    )
    for text in args.security_opt:
        options = _with_security(options, text)
    return options


def _umask(text: str) -> int:
    try:
        return int(text, 8) & 0o777
    except ValueError as error:
        raise UsageError(f"invalid umask {text!r}", hint="as in 0027") from error


def _with_security(options: RunOptions, text: str) -> RunOptions:
    """Return the options with what one `--security-opt` asks for."""
    key, _, value = text.replace(":", "=", 1).partition("=")
    match key, value:
        case "no-new-privileges", "" | "true" | "false":
            return options._replace(no_new_privs=value != "false")
        case "seccomp", "unconfined":
            return options._replace(unconfined=True)
        case "seccomp", "default" | "builtin":
            return options._replace(unconfined=False, profile="")
        case "seccomp", str() if value:
            return options._replace(unconfined=False, profile=_profile(value))
        case "mask", str() if value:
            return options._replace(masked=(*options.masked, *value.split(":")))
        case "unmask", str() if value:
            return options._replace(unmasked=(*options.unmasked, *value.split(":")))
        case "systempaths", "unconfined":
            return options._replace(unmasked=("ALL",))
        case "label" | "apparmor", _:
            # No module of this kind confines anything here.
            return options
        case _:
            raise UsageError(
                f"unknown --security-opt {text!r}",
                hint="no-new-privileges, seccomp=FILE|unconfined, mask=PATH, unmask=PATH are known",
            )


def _profile(path: str) -> str:
    """Return the seccomp profile in a file, which is one for the usual capabilities at least."""
    from runtime import seccomp_profile  # for this option only

    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(_PROFILE_LIMIT + 1)
    except (OSError, UnicodeDecodeError) as error:
        reason = (error.strerror or "").lower() if isinstance(error, OSError) else "no text"
        raise UsageError(f"seccomp profile {path}: {reason}") from error
    if len(text) > _PROFILE_LIMIT:
        raise UsageError(f"seccomp profile {path} is larger than {_PROFILE_LIMIT} bytes")
    kernel = os.uname()
    try:
        seccomp_profile.assemble(text, DEFAULT_CAPABILITIES, kernel.machine, kernel.release)
    except SandboxError as error:
        raise UsageError(f"{path}: {error}", hint=error.hint) from error
    return text


def resources_of(args: argparse.Namespace) -> Resources:
    """Return the limits that the arguments ask for."""
    memory = None if args.memory is None else flags.size_of("--memory", args.memory)
    swap = args.memory_swap
    if args.cpus is not None and args.cpus <= 0:
        raise UsageError("--cpus must be positive")
    return Resources(
        memory=memory,
        memory_swap=-1 if swap == "-1" else None if swap is None else flags.size_of("", swap),
        cpus=args.cpus,
        cpuset_cpus=args.cpuset_cpus,
        pids=args.pids_limit if args.pids_limit else None,
    )


def ports_of(text: str) -> tuple[Port, ...]:
    """Parse the value of `-p`."""
    from runtime import published  # for this option only

    try:
        return published.parse(text)
    except SandboxError as error:
        raise UsageError(error.message, hint=error.hint) from error


def _health(args: argparse.Namespace) -> HealthCheck | None:
    """Return what is said of the check; fields of which nothing is said have their default."""
    check = HealthCheck(
        args=("/bin/sh", "-c", args.health_cmd) if args.health_cmd else (),
        interval=_seconds(args.health_interval, "interval", 30.0),
        timeout=_seconds(args.health_timeout, "timeout", 30.0),
        start_period=_seconds(args.health_start_period, "start-period", 0.0),
        start_interval=_seconds(args.health_start_interval, "start-interval", 5.0),
        retries=3 if args.health_retries is None else args.health_retries,
    )
    return None if check == HealthCheck(()) else check


def _seconds(text: str | None, name: str, default: float) -> float:
    return default if text is None else flags.seconds_of(f"--health-{name}", text)
