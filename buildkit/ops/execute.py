"""RUN, carried out: the op becomes a sandbox, its output goes to the reporter.

In: the op, directories of the parent's layers, an upper to write into, mounts, the zygote. Out: use
of resources, and the upper as the sandbox left it. Raises StepError when the command fails, with
BuildKit's message; whatever happens, no process of the step is left.
"""

from __future__ import annotations

import os
import select as polling
from contextlib import AbstractContextManager, ExitStack

from buildkit.cache.result import Usage
from buildkit.content.streams import Sink
from buildkit.errors import StepError
from buildkit.llb.op import ExecOp
from buildkit.oci.platforms import Platform
from buildkit.ops.grants import Grants
from buildkit.ops.mounts import Mounted, Mounting
from buildkit.ops.origins import Origins
from buildkit.ops.sandboxes import Sandboxes
from buildkit.ops.ulimits import parse_ulimit
from buildkit.progress.cancel import Cancel
from buildkit.progress.reporter import StepReporter
from buildkit.snapshot.snapshot import Active
from buildkit.state.root import StateRoot
from runtime.errors import SandboxError
from runtime.sandbox import Step
from runtime.spec import (
    SHM_SIZE,
    DirectoryRoot,
    ExitStatus,
    File,
    Process,
    Resources,
    Root,
    RootFs,
    SandboxSpec,
)
from runtime.values import NamedTuple

_PIPE = 1 << 16


class Setting(NamedTuple):
    """What a RUN is given: directories (`lowers` top-most first), trees, the zygote, and more.

    `looking` is held while trees are looked at, which several steps may share. `copied`: all of
    the parent's tree lies in the upper, which is the root as it is.
    """

    root: StateRoot
    active: Active
    lowers: tuple[str, ...]
    grants: Grants
    origins: Origins
    sandboxes: Sandboxes
    looking: AbstractContextManager[object]
    copied: bool = False


def execute(op: ExecOp, setting: Setting, reporter: StepReporter, cancel: Cancel) -> Usage:
    """Run `op` to its end. Raises StepError, Cancelled."""
    with ExitStack() as stack:
        mounting = Mounting(
            setting.root, setting.origins, setting.grants, stack, cancel, setting.looking
        )
        mounted = mounting.all(op.mounts)
        spec = sandbox_of(op, setting, mounted)
        log = _log(mounted, reporter, stack)
        try:
            status = _run(spec, setting.sandboxes, log, cancel)
        except SandboxError as error:
            cancel.check()
            raise StepError(str(error), hint=error.hint) from error
    cancel.check()
    if status.code:
        raise StepError(
            _failure(op, status), hint=_hint(op, status, setting.sandboxes.no_way_out())
        )
    return Usage(
        cpu=status.user_seconds + status.system_seconds,
        memory=status.peak_memory,
        read=status.read_bytes,
        written=status.written_bytes,
    )


def _log(mounted: Mounted, reporter: StepReporter, stack: ExitStack) -> Sink:
    """Return what takes the output of the step; values of its secrets are masked."""
    if not mounted.secrets:
        return reporter.log
    from buildkit.ops.masking import Masking  # for such steps only

    masking = Masking(mounted.secrets, reporter.log)
    stack.callback(masking.finish)
    return masking.feed


def sandbox_of(op: ExecOp, setting: Setting, mounted: Mounted) -> SandboxSpec:
    """Return the sandbox of `op`. Pure."""
    mounts = mounted.mounts
    env = dict((*op.env, *op.proxy, *mounted.env))
    if mounted.agent:
        env.setdefault("SSH_AUTH_SOCK", mounted.agent)
    if op.script is not None:
        script = File(op.args[-1], op.script.encode("utf-8", "surrogateescape"), mode=0o755)
        mounts = (*mounts, script._replace(readonly=True))
    return SandboxSpec(
        root=_root(setting),
        process=Process(
            args=op.args,
            # The key takes the environment for a mapping, so its order must not be seen.
            env=tuple(sorted(env.items())),
            cwd=op.cwd,
            user=op.user,
            rlimits=tuple(parse_ulimit(text) for text in op.ulimits),
        ),
        mounts=mounts,
        hostname=op.hostname,
        network=op.network,
        resources=setting.grants.resources or Resources(),
        security=op.security,
        extra_hosts=op.extra_hosts,
        shm_size=op.shm_size or SHM_SIZE,
    )


def _root(setting: Setting) -> Root:
    active = setting.active
    if setting.copied:
        return DirectoryRoot(active.upper)
    return RootFs(setting.lowers, active.upper, active.work)


def _run(spec: SandboxSpec, sandboxes: Sandboxes, log: Sink, cancel: Cancel) -> ExitStatus:
    reading, writing = os.pipe2(os.O_CLOEXEC)
    try:
        try:
            step = sandboxes.begin(spec, stdout=writing)
        finally:
            os.close(writing)
        killed = _relay(step, reading, log, cancel)
        # Its first word is that it is made; the next tells its end, and closes the channel.
        step.terminal()
        if not killed and step.fileno() >= 0:
            _kill_when_cancelled(step, cancel)
        return step.wait()
    finally:
        os.close(reading)


def _relay(step: Step, reading: int, log: Sink, cancel: Cancel) -> bool:
    """Pass output on until nobody can write any more; kill the step when asked to stop.

    Return whether it was killed. The end of the pipe means that every process of the step is gone
    or has closed it; in the latter case the status tells when they are gone.
    """
    poll = polling.poll()
    poll.register(reading, polling.POLLIN)
    poll.register(cancel.fileno(), polling.POLLIN)
    killed = False
    try:
        while True:
            ready = dict(poll.poll())
            if not killed and cancel.fileno() in ready:
                step.kill()
                killed = True
                poll.unregister(cancel.fileno())
            if reading in ready:
                data = os.read(reading, _PIPE)
                if not data:
                    return killed
                log(data)
    except BaseException:
        # A full disk under the log file, say: nothing of the step may outlive it.
        step.kill()
        raise


def _kill_when_cancelled(step: Step, cancel: Cancel) -> None:
    """Wait until the step speaks, or is killed because of `cancel`."""
    poll = polling.poll()
    poll.register(step.fileno(), polling.POLLIN)
    poll.register(cancel.fileno(), polling.POLLIN)
    ready = dict(poll.poll())
    if cancel.fileno() in ready:
        step.kill()


def _failure(op: ExecOp, status: ExitStatus) -> str:
    """Return BuildKit's message, with what is known beyond the code."""
    command = " ".join(op.args)
    message = f'process "{command}" did not complete successfully: exit code: {status.code}'
    return f"{message}: {status.reason}" if status.reason else message


def _hint(op: ExecOp, status: ExitStatus, no_way_out: str) -> str:
    if status.oom:
        return "the step ran out of memory"
    if status.code == 127:
        return "the program, or the interpreter it names, is not in the image"
    here = str(Platform.host())
    if status.code == 126 and op.platform != here:
        return (
            f"the step is for {op.platform} and this machine is {here}: register an emulator with"
            " binfmt_misc (package qemu-user-static), or build in FROM --platform=$BUILDPLATFORM"
        )
    if status.code == 126:
        return "the program is not executable in the image"
    if no_way_out:
        return f"steps cannot reach the network here ({no_way_out}); --network host shares ours"
    return ""
