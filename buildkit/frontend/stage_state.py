"""What a stage is, instruction by instruction: its config, its variables, its history.

In: the state before an instruction, and the instruction. Out: the state behind it. This is where
everything is that makes no file system; RUN, COPY, ADD and WORKDIR use the state and are lowered
in modules of their own. Document: docs/dockerfile.md, chapters 7, 8 and 12.
"""

from __future__ import annotations

import posixpath

from buildkit.frontend import history
from buildkit.frontend.expander import NOT_EXPORTED, Expander, at
from buildkit.frontend.history import HistoryItem
from buildkit.oci.config import ContainerConfig, Healthcheck, ResolvedImage
from grammar.instructions import (
    Add,
    Arg,
    Cmd,
    Command,
    Copy,
    Entrypoint,
    Env,
    ExecForm,
    Expose,
    Label,
    Maintainer,
    Onbuild,
    Run,
    Shell,
    StageInstruction,
    Stopsignal,
    User,
    Volume,
    Workdir,
)
from grammar.instructions import Healthcheck as HealthcheckInstruction
from grammar.values import parse_port_spec, parse_signal
from runtime.typed import assert_never

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from buildkit.oci.platforms import Platform


DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DEFAULT_SHELL = ("/bin/sh", "-c")


class StageState:
    """A stage so far. It is changed in place; a stage built FROM it begins with a `child`.

    `vertex` is its file system, None for an empty one. `env` is what words are expanded against
    and what RUN sees, ARGs included; `image_env` what goes into the image, as `NAME=value` by
    name. `arguments` are the ARGs declared so far, in order.
    """

    def __init__(self, platform: Platform, base: ResolvedImage | None, vertex: str | None) -> None:
        config = ContainerConfig(working_dir="/") if base is None else base.config.config
        self.platform = platform
        self.base = base
        self.vertex = vertex
        self.image_env = {entry.partition("=")[0]: entry for entry in config.env}
        self.env: dict[str, str] = {}
        self.arguments: dict[str, str | None] = {}
        self.user = config.user
        self.working_dir = config.working_dir
        self.entrypoint = config.entrypoint
        self.cmd = config.cmd
        self.cmd_is_own = False
        self.args_escaped = config.args_escaped
        self.shell = config.shell
        self.labels = dict(config.labels)
        self.ports = set(config.exposed_ports)
        self.volumes = set(config.volumes)
        self.stop_signal = config.stop_signal
        self.healthcheck = config.healthcheck
        self.onbuild: list[str] = []
        self.author = "" if base is None else base.config.author
        self.history: list[HistoryItem] = []
        self._begin()

    def child(self) -> StageState:
        """Return the state with which a stage FROM this one begins; triggers are not in it."""
        child = StageState(self.platform, self.base, self.vertex)
        for name, value in vars(self).items():
            copied = value.copy() if isinstance(value, dict | set | list) else value
            setattr(child, name, copied)
        child.onbuild = []
        child.cmd_is_own = False
        child._begin()
        return child

    def _begin(self) -> None:
        """Make sure of PATH, and let the image's variables win over ARGs of an earlier stage."""
        if "PATH" not in self.image_env:
            self.image_env["PATH"] = f"PATH={DEFAULT_PATH}"
        for name, entry in self.image_env.items():
            self.env[name] = entry.partition("=")[2]
        if self.working_dir:
            self.working_dir = absolute("/", self.working_dir)

    @property
    def directory(self) -> str:
        """The working directory, absolute."""
        return self.working_dir or "/"

    def with_shell(self, text: str) -> tuple[str, ...]:
        """Return the arguments that run `text` in the stage's shell."""
        return (*(self.shell or DEFAULT_SHELL), text)

    def record(self, created_by: str, vertex: str | None = None) -> None:
        """Append an entry to the history; `vertex` made a layer."""
        self.history.append(HistoryItem(created_by, vertex, self.author, history.COMMENT))

    def config(self, labels: Iterable[tuple[str, str]] = ()) -> ContainerConfig:
        """Return the config of an image of this stage, with `labels` of the command line."""
        return ContainerConfig(
            user=self.user,
            exposed_ports=tuple(sorted(self.ports)),
            env=tuple(self.image_env.values()),
            entrypoint=self.entrypoint,
            cmd=self.cmd,
            volumes=tuple(sorted(self.volumes)),
            working_dir=self.working_dir,
            labels=tuple({**self.labels, **dict(labels)}.items()),
            stop_signal=self.stop_signal,
            args_escaped=self.args_escaped,
            healthcheck=self.healthcheck,
            onbuild=tuple(self.onbuild),
            shell=self.shell,
        )


def absolute(directory: str, path: str) -> str:
    """Return `path` seen from `directory`, without `.`, `..` and doubled slashes."""
    # A second slash in front would be kept by normpath, as POSIX allows.
    return posixpath.normpath("/" + posixpath.join(directory, path).lstrip("/"))


def apply(
    state: StageState,
    instruction: StageInstruction,
    expander: Expander,
    *,
    scope: Mapping[str, str],
    given: Mapping[str, str],
) -> None:
    """Let `instruction`, one that makes no file system, change `state`.

    `scope` is the global scope and `given` the build arguments, both for ARG.
    Raises DefinitionError.
    """
    match instruction:
        case Arg():
            _arg(state, instruction, expander, scope, given)
        case Env() | Label():
            _pairs(state, instruction, expander)
        case Cmd() | Entrypoint() | Shell() | HealthcheckInstruction():
            _command(state, instruction)
        case Expose() | Volume():
            _set(state, instruction, expander)
        case User() | Stopsignal() | Maintainer():
            _value(state, instruction, expander)
        case Onbuild():
            state.onbuild.append(instruction.trigger)
        case Run() | Copy() | Add() | Workdir():
            raise TypeError(f"{type(instruction).__name__} makes a file system")
        case _:
            assert_never(instruction)


def _arg(
    state: StageState,
    instruction: Arg,
    expander: Expander,
    scope: Mapping[str, str],
    given: Mapping[str, str],
) -> None:
    """Declare arguments, one after the other: a default may use the one before it."""
    shown: list[tuple[str, str | None]] = []
    for argument in instruction.arguments:
        name = expander.text(argument.name.text)
        if not name:
            raise expander.error("ARG names can not be blank")
        value: str | None
        if name in given:
            value = given[name]
        elif argument.default is not None:
            value = expander.text(argument.default.text)
        else:
            value = scope.get(name)
        if value is not None and name not in NOT_EXPORTED:
            state.env[name] = value
        state.arguments[name] = value
        shown.append((name, value))
    state.record(history.arg(shown))


def _pairs(state: StageState, instruction: Env | Label, expander: Expander) -> None:
    """Set variables or labels; all words see the variables as they were before."""
    keyword = "ENV" if isinstance(instruction, Env) else "LABEL"
    items = [
        (expander.text(pair.key.text), expander.text(pair.value.text)) for pair in instruction.pairs
    ]
    if any(not key for key, _ in items):
        raise expander.error(f"{keyword} names can not be blank")
    if isinstance(instruction, Env):
        for key, value in items:
            state.env[key] = value
            state.image_env[key] = f"{key}={value}"
    else:
        state.labels.update(items)
    state.record(history.pairs(keyword, items))


def _command(
    state: StageState, instruction: Cmd | Entrypoint | Shell | HealthcheckInstruction
) -> None:
    match instruction:
        case Cmd():
            state.cmd = _args(state, instruction.command)
            state.cmd_is_own = True
            state.args_escaped = True
            state.record(history.command("CMD", state.cmd))
        case Entrypoint():
            state.entrypoint = _args(state, instruction.command)
            if not state.cmd_is_own:
                state.cmd = None
            state.record(history.command("ENTRYPOINT", state.entrypoint))
        case Shell():
            state.shell = instruction.shell
            state.record(history.words("SHELL", instruction.shell))
        case HealthcheckInstruction():
            state.healthcheck = _healthcheck(instruction)
            state.record(history.healthcheck(state.healthcheck))
        case _:
            assert_never(instruction)


def _args(state: StageState, command: Command) -> tuple[str, ...]:
    return command.args if isinstance(command, ExecForm) else state.with_shell(command.text)


def _healthcheck(instruction: HealthcheckInstruction) -> Healthcheck:
    command = instruction.command
    if command is None:
        test: tuple[str, ...] = ("NONE",)
    elif isinstance(command, ExecForm):
        test = ("CMD", *command.args)
    else:
        test = ("CMD-SHELL", command.text)
    return Healthcheck(
        test=test,
        interval=instruction.interval,
        timeout=instruction.timeout,
        start_period=instruction.start_period,
        start_interval=instruction.start_interval,
        retries=instruction.retries,
    )


def _set(state: StageState, instruction: Expose | Volume, expander: Expander) -> None:
    """Add ports or volumes."""
    if isinstance(instruction, Volume):
        paths = [expander.text(path.text) for path in instruction.paths]
        if not all(paths):
            raise expander.error("VOLUME specified can not be an empty string")
        state.volumes.update(paths)
        state.record(history.words("VOLUME", paths))
        return
    ports: set[str] = set()
    for word in instruction.ports:
        for text in expander.several(word.text):
            with at(expander.span):
                ports.update(parse_port_spec(text).ports())
    state.ports |= ports
    state.record(history.words("EXPOSE", sorted(ports)))


def _value(
    state: StageState, instruction: User | Stopsignal | Maintainer, expander: Expander
) -> None:
    match instruction:
        case User():
            state.user = expander.text(instruction.user.text)
            state.record(history.value("USER", state.user))
        case Stopsignal():
            signal = expander.text(instruction.signal.text)
            with at(expander.span):
                parse_signal(signal)
            state.stop_signal = signal
            state.record(history.value("STOPSIGNAL", signal))
        case Maintainer():
            state.author = instruction.author.text
            state.record(history.value("MAINTAINER", state.author))
        case _:
            assert_never(instruction)
