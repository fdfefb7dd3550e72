"""From an image's config and the user's wishes to a sandbox: what `pybuild run` starts.

In: `ContainerConfig`, `RunOptions`, mounts already resolved. Out: a `SandboxSpec`. Pure. Source:
image-spec conversion.md; the flags are docker's and podman's.
"""

from __future__ import annotations

import posixpath

from buildkit.errors import UsageError
from runtime import capabilities
from runtime.errors import SandboxError
from runtime.spec import (
    MASKED_PATHS,
    READONLY_PATHS,
    SHM_SIZE,
    Device,
    Mount,
    NetworkMode,
    Process,
    Resolver,
    Resources,
    Rlimit,
    Root,
    RootFs,
    SandboxSpec,
    Tmpfs,
)
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from buildkit.oci.config import ContainerConfig


DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
INIT = "/dev/init"
"""Where the reaper of `--init` is shown: /dev is the sandbox's own, so no image has it there."""


class RunOptions(NamedTuple):
    """What the user asked for; None and empty mean what the image says.

    `entrypoint` empty tuple: none at all. `env` overrides the image's, in order. `unmasked`: paths
    that are shown although they are masked or read-only by default, `ALL` for all of them.
    """

    command: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    env: tuple[tuple[str, str], ...] = ()
    workdir: str = ""
    user: str = ""
    groups: tuple[str, ...] = ()
    hostname: str = ""
    network: NetworkMode = "default"
    extra_hosts: tuple[tuple[str, str], ...] = ()
    resolver: Resolver = Resolver()
    terminal: bool = False
    init: bool = False
    readonly: bool = False
    privileged: bool = False
    added: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    no_new_privs: bool = False
    unconfined: bool = False
    profile: str = ""
    masked: tuple[str, ...] = ()
    unmasked: tuple[str, ...] = ()
    sysctls: tuple[tuple[str, str], ...] = ()
    devices: tuple[Device, ...] = ()
    resources: Resources = Resources()
    rlimits: tuple[Rlimit, ...] = ()
    shm_size: int = SHM_SIZE
    umask: int = 0o022
    host_env: tuple[tuple[str, str], ...] = ()
    """Variables of the caller's, which those of the image override."""
    unset: tuple[str, ...] = ()
    """Variables that are not the image's nor the usual ones; `*` for all of them."""
    merged: tuple[tuple[str, str], ...] = ()
    """Variables in whose values others are named, `$NAME` or `${NAME}`."""
    readonly_tmpfs: bool = True
    """Whether a read-only root has places in memory that can be written."""
    unmanaged: tuple[str, ...] = ()
    oom_score_adj: int | None = None
    shared: tuple[str, ...] = ()
    """Namespaces that are the host's, as `SandboxSpec.shared`."""


def sandbox_for(
    config: ContainerConfig,
    root: Root,
    options: RunOptions,
    *,
    name: str,
    mounts: tuple[Mount, ...] = (),
) -> SandboxSpec:
    """Return the sandbox of a container with `name` as its hostname unless one is given.

    Raises UsageError when there is nothing to execute, SpecError for what makes no sense.
    """
    hostname = options.hostname or name
    args = command_of(config, options)
    if options.readonly and options.readonly_tmpfs:
        # Programs that need a place for the moment have one all the same, as with podman.
        taken = {mount.target for mount in mounts}
        places = ("/tmp", "/var/tmp", "/run")  # noqa: S108 - inside the container
        mounts = (*mounts, *(Tmpfs(place) for place in places if place not in taken))
    return SandboxSpec(
        root=root._replace(readonly=options.readonly) if isinstance(root, RootFs) else root,
        process=Process(
            args=(INIT, "--", *args) if options.init else args,
            env=environment_of(config, options, hostname),
            cwd=_absolute(options.workdir or config.working_dir or "/", config.working_dir),
            user=options.user or config.user,
            groups=options.groups,
            umask=options.umask,
            terminal=options.terminal,
            rlimits=options.rlimits,
            oom_score_adj=options.oom_score_adj,
        ),
        mounts=mounts,
        hostname=hostname,
        network=options.network,
        resources=options.resources,
        security="insecure" if options.privileged else "sandbox",
        machine_devices=options.privileged,
        capabilities=_capabilities(options),
        no_new_privs=options.no_new_privs,
        seccomp="unconfined" if options.unconfined else "default",
        profile=options.profile,
        masked_paths=_without(MASKED_PATHS, options.unmasked) + options.masked,
        readonly_paths=_without(READONLY_PATHS, options.unmasked),
        extra_hosts=options.extra_hosts,
        resolver=options.resolver,
        sysctls=options.sysctls,
        shm_size=options.shm_size,
        devices=options.devices,
        unmanaged=options.unmanaged,
        shared=options.shared,
    )


def command_of(config: ContainerConfig, options: RunOptions) -> tuple[str, ...]:
    """Return what is executed: entrypoint and command, each the user's or the image's.

    A command of the user's replaces the image's Cmd; an entrypoint of the user's clears it.
    """
    if options.entrypoint is not None:
        args = (*options.entrypoint, *options.command)
    else:
        args = (*(config.entrypoint or ()), *(options.command or config.cmd or ()))
    if args and not args[0]:
        raise UsageError("the name of the program is empty", hint="is a variable not set?")
    if not args:
        raise UsageError(
            "no command: the image has neither ENTRYPOINT nor CMD",
            hint="give one after the image's name: pybuild run IMAGE COMMAND",
        )
    return args


def environment_of(
    config: ContainerConfig, options: RunOptions, hostname: str
) -> tuple[tuple[str, str], ...]:
    """Return the environment: PATH and HOSTNAME, the image's, the user's; later ones win.

    An image's entry without `=` is an empty value: it never takes anything from the host (S7).
    """
    env = {"PATH": DEFAULT_PATH, "HOSTNAME": hostname}
    if options.terminal:
        env["TERM"] = "xterm"
    env.update(options.host_env)
    for entry in config.env:
        key, _, value = entry.partition("=")
        if key:
            env[key] = value
    for name in options.unset:
        if name == "*":
            env.clear()
        else:
            env.pop(name, None)
    for name, value in options.merged:
        env[name] = _merged(value, env)
    env.update(options.env)
    return tuple(env.items())


def _merged(text: str, env: Mapping[str, str]) -> str:
    """Return a text with the values of the variables that it names."""
    import re  # there already where it is needed

    return re.sub(r"\$(?:(\w+)|\{(\w+)\})", lambda found: env.get(found[1] or found[2], ""), text)


def _capabilities(options: RunOptions) -> tuple[str, ...]:
    try:
        return capabilities.select(options.added, options.dropped)
    except SandboxError as error:
        raise UsageError(error.message, hint=error.hint) from error


def _without(paths: tuple[str, ...], unmasked: tuple[str, ...]) -> tuple[str, ...]:
    if "ALL" in unmasked:
        return ()
    return tuple(path for path in paths if path not in unmasked)


def _absolute(path: str, base: str) -> str:
    return path if path.startswith("/") else posixpath.join(base or "/", path)
