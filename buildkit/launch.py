"""From an image's config and the user's wishes to a sandbox: what `pybuild run` starts.

In: `ContainerConfig`, the directories of the root file system, `RunOptions`. Out: a `SandboxSpec`.
Pure but for looking at the sources of bind mounts. Source: image-spec conversion.md; the flags are
docker's and podman's.
"""

import json
import os
from collections.abc import Mapping, Sequence

from buildkit.errors import UsageError
from buildkit.oci.config import ContainerConfig
from buildkit.sizes import parse_size
from runtime.spec import (
    Bind,
    Mount,
    NetworkMode,
    Process,
    Resources,
    Rlimit,
    RootFs,
    SandboxSpec,
    Tmpfs,
)
from runtime.values import NamedTuple

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Volume(NamedTuple):
    """`-v source:target[:options]`; `source` is absolute, a volume's name, or empty."""

    source: str
    target: str
    readonly: bool


class RunOptions(NamedTuple):
    """What the user asked for; None and empty mean what the image says.

    `entrypoint` empty tuple: none at all. `env` overrides the image's, in order.
    """

    command: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    env: tuple[tuple[str, str], ...] = ()
    workdir: str = ""
    user: str = ""
    volumes: tuple[Volume, ...] = ()
    tmpfs: tuple[str, ...] = ()
    hostname: str = ""
    network: NetworkMode = "default"
    extra_hosts: tuple[tuple[str, str], ...] = ()
    terminal: bool = False
    readonly: bool = False
    resources: Resources = Resources()
    rlimits: tuple[Rlimit, ...] = ()


def sandbox_for(
    config: ContainerConfig,
    root: RootFs,
    options: RunOptions,
    *,
    name: str,
    volumes: Mapping[str, str],
) -> SandboxSpec:
    """Return the sandbox of a container called `name` (its hostname unless one is given).

    `volumes` gives the directory of each named volume in `options`. Raises UsageError when there
    is nothing to execute.
    """
    return SandboxSpec(
        root=root._replace(readonly=options.readonly),
        process=Process(
            args=command_of(config, options),
            env=environment_of(config, options, options.hostname or name),
            cwd=_absolute(options.workdir or config.working_dir or "/", config.working_dir),
            user=options.user or config.user,
            terminal=options.terminal,
            rlimits=options.rlimits,
        ),
        mounts=tuple(_mounts(options, volumes)),
        hostname=options.hostname or name,
        network=options.network,
        resources=options.resources,
        extra_hosts=options.extra_hosts,
    )


def command_of(config: ContainerConfig, options: RunOptions) -> tuple[str, ...]:
    """Return what is executed: entrypoint and command, each the user's or the image's.

    A command of the user's replaces the image's Cmd; an entrypoint of the user's clears it.
    """
    if options.entrypoint is not None:
        args = (*options.entrypoint, *options.command)
    else:
        args = (*(config.entrypoint or ()), *(options.command or config.cmd or ()))
    if not args or not args[0]:
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
    for entry in config.env:
        key, _, value = entry.partition("=")
        if key:
            env[key] = value
    env.update(options.env)
    return tuple(env.items())


def parse_volume(text: str) -> Volume:
    """Parse the value of `-v`. Raises UsageError."""
    parts = text.split(":")
    if len(parts) == 1:
        source, target, options = "", parts[0], ""
    elif len(parts) in (2, 3):
        source, target, options = parts[0], parts[1], ":".join(parts[2:])
    else:
        raise UsageError(f"invalid volume {text!r}", hint="the form is SOURCE:TARGET[:ro]")
    if not target.startswith("/") or os.path.normpath(target) == "/":
        raise UsageError(f"the target of volume {text!r} must be an absolute path other than /")
    known = {"": False, "ro": True, "rw": False}
    wanted = [option for option in options.split(",") if option not in ("z", "Z")]
    unknown = [option for option in wanted if option not in known]
    if unknown:
        raise UsageError(
            f"unknown option {unknown[0]!r} in volume {text!r}", hint="ro and rw are known"
        )
    if source and ("/" in source or source.startswith(".")):
        source = os.path.abspath(source)
        if not os.path.lexists(source):
            raise UsageError(f"volume source {source} does not exist")
    return Volume(source, os.path.normpath(target), any(known[option] for option in wanted))


def parse_entrypoint(text: str) -> tuple[str, ...]:
    """Parse the value of `--entrypoint`: one program, a JSON array, or empty for none."""
    if text.startswith("["):
        try:
            value = json.loads(text)
        except ValueError:
            value = None
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return tuple(value)
    return (text,) if text else ()


def parse_env(texts: Sequence[str], files: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return the variables of `-e` and `--env-file`, files first; `NAME` alone takes the caller's.

    Raises UsageError for a line without a name and for files that cannot be read.
    """
    found: list[tuple[str, str]] = []
    for file in files:
        try:
            with open(file, encoding="utf-8", errors="surrogateescape") as lines:
                entries = [line.rstrip("\n") for line in lines]
        except OSError as error:
            raise UsageError(f"env file {file}: {(error.strerror or '').lower()}") from error
        found += _variables([line for line in entries if line and not line.startswith("#")])
    return (*found, *_variables(texts))


def _variables(texts: Sequence[str]) -> list[tuple[str, str]]:
    pairs = []
    for text in texts:
        key, equals, value = text.partition("=")
        if not key or "\0" in text:
            raise UsageError(
                f"invalid environment variable {text!r}", hint="the form is NAME=VALUE"
            )
        if equals:
            pairs.append((key, value))
        elif key in os.environ:
            pairs.append((key, os.environ[key]))
    return pairs


def _mounts(options: RunOptions, volumes: Mapping[str, str]) -> list[Mount]:
    mounts: list[Mount] = []
    for volume in options.volumes:
        source = volume.source if volume.source.startswith("/") else volumes[volume.source]
        mounts.append(Bind(source, volume.target, readonly=volume.readonly))
    for text in options.tmpfs:
        target, _, wishes = text.partition(":")
        if not target.startswith("/"):
            raise UsageError(f"the target of tmpfs {text!r} must be an absolute path")
        mounts.append(_tmpfs(target, wishes, text))
    return mounts


def _tmpfs(target: str, wishes: str, text: str) -> Tmpfs:
    """Parse the options of `--tmpfs`: size=BYTES[kmg], mode=OCTAL, ro, rw, and mount flags."""
    mount = Tmpfs(target)
    for wish in filter(None, wishes.split(",")):
        key, _, value = wish.partition("=")
        try:
            if key == "size":
                mount = mount._replace(size=parse_size(value))
            elif key == "mode":
                mount = mount._replace(mode=int(value, 8))
            elif key == "ro":
                mount = mount._replace(readonly=True)
            elif key not in ("rw", "nosuid", "nodev", "noexec", "exec"):
                raise UsageError(f"unknown option {wish!r} in tmpfs {text!r}")
        except ValueError as error:
            raise UsageError(f"invalid value in tmpfs {text!r}: {wish}") from error
    return mount


def _absolute(path: str, base: str) -> str:
    return path if path.startswith("/") else os.path.join(base or "/", path)
