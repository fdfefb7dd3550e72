"""The options of `run` and `create` (`run_flags.py`) as `Wishes`.

In: parsed arguments. Out: values, or UsageError. Names and meaning are docker's and podman's.
"""

from __future__ import annotations

import os

from buildkit.containers import flags, mounts
from buildkit.containers.making import Wishes
from buildkit.containers.mounts import parse_mount, parse_tmpfs, parse_volume
from buildkit.containers.store import check_name
from buildkit.errors import UsageError
from buildkit.launch import RunOptions
from runtime.container import FailureAction, HealthCheck, Place, Port
from runtime.errors import SandboxError
from runtime.spec import DEFAULT_CAPABILITIES, SHM_SIZE, NetworkMode, Resolver, Resources

TYPE_CHECKING = False
if TYPE_CHECKING:
    from buildkit.cli.arguments import Namespace
    from buildkit.containers.namespaces import Wanted
    from buildkit.containers.user_mode import UserMode
    from runtime.spec import Rlimit

_PROFILE_LIMIT = 1 << 20
_LEAST_CPUS = 0.01
"""A hundredth of a period, the least that the kernel takes."""
_MOST_CPUS = 100_000
_OWN_NETWORK = "a container has an address and a name of its own on the default network"
_RARE = (
    *("memory_reservation", "memory_swappiness", "oom_kill_disable", "cgroup_parent"),
    *("cpu_shares", "cpu_period", "cpu_quota", "cpuset_mems"),
)
"""Limits that `run_limits.py` understands."""


def wishes_of(args: Namespace) -> Wishes:
    """Return what the arguments ask for."""
    _check(args)
    kind, _, beside = args.network.partition(":")
    shared = kind == "container" and bool(beside)
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
        volumes_from=tuple(args.volumes_from),
        annotations=flags.parse_labels(args.annotation, ()),
        pidfile=_pidfile(args.pidfile),
        mounts=(
            *_zone(args.tz),
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
        userns=_userns(args, joined=_joined(args)),
        namespaces=others,
        place=_place(args, network, shares=shares),
        aliases=_aliases(args, network, shares=shares),
        image_volumes=_image_volumes(args.image_volume),
    )


def _image_volumes(text: str) -> mounts.ImageVolumes:
    match text:
        case "bind" | "anonymous" | "":
            return "bind"
        case "tmpfs" | "ignore":
            return text
        case _:
            raise UsageError(f"unknown --image-volume {text!r}", hint="bind, tmpfs or ignore")


def _zone(text: str) -> tuple[mounts.Wanted, ...]:
    if not text:
        return ()
    return (mounts.Wanted("bind", "/etc/localtime", flags.zone_of(text), readonly=True),)


def _place(args: Namespace, network: NetworkMode, *, shares: bool) -> Place:
    if not args.ip and not args.mac_address:
        return Place()
    if shares or network != "default":
        raise UsageError(
            f"--ip and --mac-address do not go with --network={args.network}", hint=_OWN_NETWORK
        )
    from buildkit.containers import places  # for these options only

    return places.place_of(args.ip, args.mac_address)


def _aliases(args: Namespace, network: NetworkMode, *, shares: bool) -> tuple[str, ...]:
    if not args.network_alias:
        return ()
    if shares or network != "default":
        raise UsageError(
            f"--network-alias does not go with --network={args.network}", hint=_OWN_NETWORK
        )
    from buildkit.containers import places  # for this option only

    return places.aliases_of(args.network_alias)


def _others(args: Namespace) -> tuple[Wanted, ...]:
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


def _joined(args: Namespace) -> frozenset[str]:
    """Return whose namespaces are not the container's own, nor the host's."""
    texts = (args.network, args.ipc, args.uts, args.cgroupns)
    return frozenset(text for text in texts if text.startswith(("container:", "ns:")))


def _userns(args: Namespace, *, joined: frozenset[str]) -> UserMode | None:
    names = (args.subuidname, args.subgidname)
    if args.userns in ("", "host") and not (args.uidmap or args.gidmap or any(names)):
        return None
    from buildkit.containers import user_mode  # for these options only

    mode = user_mode.mode_of(args.userns, args.uidmap, args.gidmap, names)
    if mode is not None and joined and not (mode.kind == "container" and joined == {args.userns}):
        raise UsageError(
            "namespaces of others and user ids of its own exclude each other",
            hint="a namespace belongs to the user namespace that it was made in: share that, too, "
            "with --userns=container:NAME",
        )
    return mode


def _check(args: Namespace) -> None:
    if args.rm and args.restart not in ("no", ""):
        raise UsageError("--rm and --restart exclude each other")
    if args.platform and (args.os or args.arch or args.variant):
        raise UsageError("--platform and --os, --arch or --variant exclude each other")
    if args.no_hosts and args.add_host:
        raise UsageError("--no-hosts and --add-host exclude each other")
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


def _options(args: Namespace, network: NetworkMode) -> RunOptions:
    words = args.command[1:] if args.command[:1] == ["--"] else args.command
    options = RunOptions(
        command=tuple(words),
        entrypoint=None if args.entrypoint is None else flags.parse_entrypoint(args.entrypoint),
        env=flags.parse_env(args.env, args.env_file),
        merged=flags.parse_env(args.env_merge, ()),
        readonly_tmpfs=args.read_only_tmpfs,
        host_env=tuple(os.environ.items()) if args.env_host else (),
        unset=(*args.unsetenv, *(("*",) if args.unsetenv_all else ())),
        unmanaged=(
            *(("/etc/hosts",) if args.no_hosts else ()),
            *(("/etc/resolv.conf",) if args.dns == ["none"] else ()),
        ),
        oom_score_adj=_score(args.oom_score_adj),
        workdir=args.workdir,
        user=args.user,
        groups=tuple(args.group_add),
        hostname=args.hostname,
        network=network,
        extra_hosts=_hosts(args.add_host),
        resolver=_resolver(args),
        terminal=args.tty,
        init=args.init,
        readonly=args.read_only,
        resources=resources_of(args),
        rlimits=_rlimits(args.ulimit),
        shm_size=flags.size_of("--shm-size", args.shm_size) if args.shm_size else SHM_SIZE,
        umask=_umask(args.umask),
        devices=tuple(
            dict.fromkeys(one for text in args.device for one in flags.parse_device(text))
        ),
        sysctls=tuple(map(flags.parse_sysctl, args.sysctl)),
        privileged=args.privileged,
        added=tuple(name for text in args.cap_add for name in text.split(",")),
        dropped=tuple(name for text in args.cap_drop for name in text.split(",")),
    )
    for text in args.security_opt:
        options = _with_security(options, text)
    return options


def _pidfile(path: str) -> str:
    """Return where the monitor writes; by then nobody could be told that it cannot."""
    path = os.path.abspath(path) if path else ""
    above = os.path.dirname(path)
    if path and not os.path.isdir(above):
        raise UsageError(f"--pidfile {path}: there is no such directory")
    if path and not os.access(above, os.W_OK | os.X_OK):
        raise UsageError(f"--pidfile {path}: permission denied")
    return path


def _hosts(texts: list[str]) -> tuple[tuple[str, str], ...]:
    if not texts:
        return ()
    from buildkit.cli.values import host_of  # for this option only

    return tuple(map(host_of, texts))


def _resolver(args: Namespace) -> Resolver:
    servers = () if args.dns == ["none"] else tuple(args.dns)
    if servers:
        import ipaddress  # for this option only

        for server in servers:
            try:
                ipaddress.ip_address(server)
            except ValueError:
                hint = "none alone leaves /etc/resolv.conf as the image has it"
                raise UsageError(f"--dns {server}: no IP address", hint=hint) from None
    return Resolver(servers, tuple(args.dns_search), tuple(args.dns_option))


def _rlimits(texts: list[str]) -> tuple[Rlimit, ...]:
    if not texts:
        return ()
    from buildkit.ops.ulimits import parse_ulimit  # for this option only

    return tuple(map(parse_ulimit, texts))


def _score(number: int | None) -> int | None:
    if number is not None and not -1000 <= number <= 1000:
        raise UsageError(f"--oom-score-adj is from -1000 to 1000, not {number}")
    return number


def _umask(text: str) -> int:
    if not 0 < len(text) <= 4 or text.strip("01234567"):
        raise UsageError(f"invalid umask {text!r}", hint="as in 0027")
    return int(text, 8) & 0o777


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


def resources_of(args: Namespace) -> Resources:
    """Return the limits that the arguments ask for."""
    memory = None if args.memory is None else flags.size_of("--memory", args.memory)
    if args.cpus is not None and not _LEAST_CPUS <= args.cpus <= _MOST_CPUS:
        raise UsageError(f"--cpus is from {_LEAST_CPUS} to {_MOST_CPUS}, not {args.cpus}")
    if args.pids_limit is not None and args.pids_limit < -1:
        raise UsageError(f"--pids-limit is -1 for none, or more, not {args.pids_limit}")
    resources = Resources(
        memory=memory,
        memory_swap=flags.swap_of(args.memory_swap or "", memory),
        cpus=args.cpus,
        cpuset_cpus=flags.set_of("--cpuset-cpus", args.cpuset_cpus),
        pids=args.pids_limit if args.pids_limit else None,
    )
    if not any(getattr(args, name) not in (None, "", False) for name in _RARE):
        return resources
    from buildkit.cli import run_limits  # for these options only

    return run_limits.with_limits(args, resources)


def ports_of(text: str) -> tuple[Port, ...]:
    """Parse the value of `-p`."""
    from runtime import published  # for this option only

    try:
        return published.parse(text)
    except SandboxError as error:
        raise UsageError(error.message, hint=error.hint) from error


def _health(args: Namespace) -> HealthCheck | None:
    """Return what is said of the check; fields of which nothing is said have their default."""
    if args.health_retries is not None and args.health_retries < 0:
        raise UsageError(f"--health-retries must not be negative: {args.health_retries}")
    check = HealthCheck(
        args=("/bin/sh", "-c", args.health_cmd) if args.health_cmd else (),
        interval=_seconds(args.health_interval, "interval", 30.0),
        timeout=_seconds(args.health_timeout, "timeout", 30.0),
        start_period=_seconds(args.health_start_period, "start-period", 0.0),
        start_interval=_seconds(args.health_start_interval, "start-interval", 5.0),
        retries=args.health_retries or 3,
        on_failure=_on_failure(args.health_on_failure),
    )
    return None if check == HealthCheck(()) else check


def _on_failure(text: str) -> FailureAction:
    match text:
        case "" | "none":
            return "none"
        case "kill" | "restart" | "stop":
            return text
        case _:
            raise UsageError(
                f"unknown --health-on-failure {text!r}", hint="none, kill, restart or stop"
            )


def _seconds(text: str | None, name: str, default: float) -> float:
    return default if text is None else flags.seconds_of(f"--health-{name}", text)
