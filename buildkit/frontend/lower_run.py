"""RUN to an op.

In: the instruction, the state of its stage, and a way to the file systems its mounts name. Out:
the op with its inputs, and the history entry. Document: docs/dockerfile.md, chapters 5 (heredocs),
7 and 10. Nothing of a RUN's command is expanded here: that is for the shell, which has the
variables.
"""

from __future__ import annotations

from buildkit.frontend import build_args, history
from buildkit.frontend.expander import Expander, at
from buildkit.frontend.options import NETWORK_HOST, SECURITY_INSECURE, LowerOptions
from buildkit.frontend.origins import Inputs, Origins, Place
from buildkit.frontend.stage_state import StageState, absolute
from buildkit.llb import op as ops
from buildkit.llb.op import ExecMount, ExecOp, NetworkMode, SecurityMode
from grammar import flags
from grammar.errors import quote
from grammar.instructions import ExecForm, Run, ShellForm
from runtime.typed import assert_never, cast
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from buildkit.frontend.stages import Stages
    from grammar.source import Span


SCRIPTS = "/dev/pipes"
"""Where a heredoc that is itself the program is shown."""


_PROC_FILES = frozenset(
    f"/proc/{name}"
    for name in (
        *("cpuinfo", "diskstats", "loadavg", "meminfo", "net/dev", "slabinfo", "stat", "swaps"),
        *("sys/crypto/fips_enabled", "sys/kernel/ns_last_pid", "uptime"),
    )
)
"""What may be mounted over, as with runc (libcontainer, checkProcMount)."""


class LoweredRun(NamedTuple):
    """What RUN comes to. `secrets` are variables whose value no name may show."""

    op: ExecOp
    inputs: tuple[str | None, ...]
    created_by: str


class _Command(NamedTuple):
    args: tuple[str, ...]
    script: str | None


def lower_run(
    instruction: Run,
    mounts: Sequence[flags.RunMount],
    state: StageState,
    expander: Expander,
    *,
    options: LowerOptions,
    stages: Stages,
    origins: Origins,
    place: Place,
) -> LoweredRun:
    """Return what `instruction` with its expanded `mounts` comes to. Raises DefinitionError."""
    if instruction.devices:
        raise expander.error(
            "RUN --device is not supported", hint="device access is a labs feature of BuildKit"
        )
    command = _command(instruction, state, expander)
    inputs = Inputs(state.vertex)
    lower = _Mounts(state.directory, expander, options, stages, origins, place, inputs)
    declared = state.env.keys() | state.arguments.keys()
    op = ExecOp(
        args=command.args,
        env=tuple(state.env.items()),
        cwd=state.directory,
        user=state.user,
        network=_network(instruction, options, expander),
        security=_security(instruction, options, expander),
        mounts=tuple(lower.mount(mount) for mount in mounts),
        platform=str(state.platform),
        hostname=options.build_args.get("BUILDKIT_SANDBOX_HOSTNAME") or options.hostname,
        script=command.script,
        proxy=tuple(
            (name, value)
            for name, value in build_args.proxy_variables(options.build_args)
            if name not in declared
        ),
        extra_hosts=options.add_hosts,
        shm_size=options.shm_size,
        ulimits=options.ulimits,
    )
    created_by = history.run(command.args, state.arguments, state.env)
    return LoweredRun(op, inputs.names(), created_by)


def read_mounts(instruction: Run, expander: Expander) -> tuple[flags.RunMount, ...]:
    """Return the mounts of `instruction`, their values expanded. Raises DefinitionError."""
    with at(expander.span):
        return tuple(
            flags.parse_run_mount(mount.text, mount.span, expander.text)
            for mount in instruction.mounts
        )


def _command(instruction: Run, state: StageState, expander: Expander) -> _Command:
    """Return what is executed: the exec form as it is, anything else in the stage's shell."""
    command = instruction.command
    if isinstance(command, ExecForm):
        if not command.args:
            raise expander.error("RUN requires at least one argument")
        return _Command(command.args, None)
    heredoc = instruction.script()
    if heredoc is None:
        return _Command(state.with_shell(_shell_text(instruction, command)), None)
    body = heredoc.body()
    if not body.startswith("#!"):
        return _Command(state.with_shell(body), None)
    return _Command(state.with_shell(f"{SCRIPTS}/{expander.file_name(heredoc.name)}"), body)


def _shell_text(instruction: Run, command: ShellForm) -> str:
    """Return a command for the shell, followed by its heredocs: those are the shell's affair."""
    bodies = "".join(f"\n{heredoc.content}{heredoc.name}" for heredoc in instruction.heredocs)
    return command.text + bodies


def _network(instruction: Run, options: LowerOptions, expander: Expander) -> NetworkMode:
    if instruction.network is None:
        return options.network
    # The grammar lets no other word pass.
    mode = cast(NetworkMode, instruction.network.text)
    if mode == "host" and options.network != "host":
        _require(NETWORK_HOST, options, expander)
    return mode


def _security(instruction: Run, options: LowerOptions, expander: Expander) -> SecurityMode:
    if instruction.security is None:
        return "sandbox"
    mode = cast(SecurityMode, instruction.security.text)
    if mode == "insecure":
        _require(SECURITY_INSECURE, options, expander)
    return mode


def _require(entitlement: str, options: LowerOptions, expander: Expander) -> None:
    if entitlement not in options.allow:
        raise expander.error(
            f"{entitlement} is not allowed", hint=f"allow it with --allow {entitlement}"
        )


class _Mounts:
    """Lowers the mounts of one RUN; `inputs` grows by what they show."""

    def __init__(
        self,
        directory: str,
        expander: Expander,
        options: LowerOptions,
        stages: Stages,
        origins: Origins,
        place: Place,
        inputs: Inputs,
    ) -> None:
        self._directory = directory
        self._expander = expander
        self._options = options
        self._stages = stages
        self._origins = origins
        self._place = place
        self._inputs = inputs
        self._sockets = 0

    def mount(self, mount: flags.RunMount) -> ExecMount:
        """Return what `mount` is in the op."""
        match mount:
            case flags.BindMount():
                return self._bind(mount)
            case flags.CacheMount():
                return self._cache(mount)
            case flags.TmpfsMount():
                return self._tmpfs(mount)
            case flags.SecretMount():
                return self._secret(mount)
            case flags.SshMount():
                return self._ssh(mount)
            case _:
                assert_never(mount)

    def _bind(self, mount: flags.BindMount) -> ops.BindMount:
        return ops.BindMount(
            target=self._target(mount.target),
            origin=self._origin(mount.origin, mount.span),
            source=absolute("/", self._expander.path(mount.source)),
            readonly=mount.readonly,
        )

    def _cache(self, mount: flags.CacheMount) -> ops.CacheMount:
        target = self._target(mount.target)
        namespace = self._options.build_args.get("BUILDKIT_CACHE_MOUNT_NS", "")
        filled = mount.origin is not None and mount.origin != "scratch"
        return ops.CacheMount(
            target=target,
            id=f"{namespace}/{mount.id}" if namespace else mount.id,
            sharing=cast(ops.Sharing, mount.sharing),
            origin=self._origin(mount.origin, mount.span) if filled else None,
            source=absolute("/", self._expander.path(mount.source)),
            mode=mount.mode,
            uid=mount.uid,
            gid=mount.gid,
            readonly=mount.readonly,
        )

    def _tmpfs(self, mount: flags.TmpfsMount) -> ops.TmpfsMount:
        if mount.readonly:
            raise self._expander.error('readonly is not supported for "tmpfs" type mounts')
        return ops.TmpfsMount(self._target(mount.target), mount.size or 0)

    def _secret(self, mount: flags.SecretMount) -> ops.SecretMount:
        return ops.SecretMount(
            id=mount.id,
            target="" if mount.target is None else self._target(mount.target),
            env=mount.env or "",
            mode=mount.mode,
            uid=mount.uid,
            gid=mount.gid,
            required=mount.required,
        )

    def _ssh(self, mount: flags.SshMount) -> ops.SshMount:
        target = mount.target or f"/run/buildkit/ssh_agent.{self._sockets}"
        self._sockets += 1
        return ops.SshMount(
            id=mount.id,
            target=self._target(target),
            mode=mount.mode,
            uid=mount.uid,
            gid=mount.gid,
            required=mount.required,
        )

    def _target(self, written: str) -> str:
        """Return a target seen from the working directory."""
        target = absolute(self._directory, self._expander.path(written))
        if not written or target == "/":
            raise self._expander.error(f"invalid mount target {quote(target if written else '')}")
        if f"{target}/".startswith("/proc/") and target not in _PROC_FILES:
            raise self._expander.error(
                f"{quote(target)} cannot be mounted because it is inside /proc",
                hint="programs need the kernel's own",
            )
        return target

    def _origin(self, name: str | None, span: Span) -> int:
        """Return the number of the input that `from` names, the build context without one."""
        if name is None:
            return self._inputs.number(self._origins.main_context().vertex)
        platform = self._options.target_platform
        origin = self._stages.names.origin(name, platform, span)
        return self._inputs.number(self._origins.of(origin, self._place).vertex)
