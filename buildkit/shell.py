"""A shell inside a step of an earlier build: its file system, environment and mounts.

In: a step put together again, which side of it to look at, what goes to its mounts. Out: the status
of the shell. What is changed there is thrown away. Nothing of a step that failed is kept when it
fails (guarantee S26), so to see what it left its command is run again, and then the shell.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext

from buildkit.errors import UsageError
from buildkit.llb.op import ExecMount, ExecOp, MkdirOp, SecretMount, SshMount
from buildkit.ops.execute import Setting, sandbox_of
from buildkit.ops.grants import Grants
from buildkit.ops.mounts import Mounting
from buildkit.ops.origins import Origins
from buildkit.ops.sandboxes import Sandboxes
from buildkit.past_step import PastContexts, PastStep, past_step
from buildkit.progress.cancel import Cancel
from buildkit.records.record import BuildRecord
from buildkit.snapshot.snapshot import Active, Snapshot
from buildkit.worker import Worker
from runtime.attached import run_attached
from runtime.spec import ExitStatus
from runtime.typed import Literal
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias


Side: TypeAlias = Literal["before", "after"]

DEFAULT_SHELL = "/bin/sh"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SHELLS = frozenset({"sh", "bash", "ash", "dash", "zsh", "ksh", "fish"})


class Visit(NamedTuple):
    """What is wanted: which side of the step, and what to run there (empty: a shell).

    `tty`: on a terminal of its own. `interactive`: with our standard input.
    """

    side: Side
    command: tuple[str, ...]
    tty: bool
    interactive: bool


def side_of(past: PastStep) -> Side:
    """Return the side that is meant when none is named: where there is something to see."""
    return "before" if past.record.outcome in ("failed", "cancelled") else "after"


def visit(
    build: BuildRecord, past: PastStep, wish: Visit, worker: Worker, grants: Grants
) -> ExitStatus:
    """Run a shell, or `wish.command`, in the step.

    Raises UsageError where there is no such state, SandboxError where it cannot be started.
    """
    again = wish.side == "after" and past.result is None and isinstance(past.op, ExecOp)
    snapshot = past.result if wish.side == "after" and not again else past.parent
    if snapshot is None and not again:
        raise UsageError(
            f"there is nothing in the file system {wish.side} step #{past.record.number}"
        )
    op = _environment(build, past, worker, wish.side)
    command = wish.command or (_shell_of(op),)
    op = op._replace(args=_script(op.args, command) if again else command)
    with ExitStack() as stack:
        contexts = PastContexts(build)
        stack.callback(contexts.close)
        origins = Origins(worker.root, worker.snapshots, contexts, past.inputs)
        stack.callback(origins.close)
        active = stack.enter_context(_prepared(worker, snapshot))
        cancel = stack.enter_context(Cancel())
        if worker.snapshots.copies and snapshot is not None:
            from buildkit.snapshot.copied import (
                copy_tree,  # where there are no overlays to write in
            )

            with worker.snapshots.view(snapshot) as view:
                copy_tree(view, active.upper, cancel.check)
        return _attached(op, wish, worker, grants, origins, active, snapshot, cancel)


def _attached(
    op: ExecOp,
    wish: Visit,
    worker: Worker,
    grants: Grants,
    origins: Origins,
    active: Active,
    snapshot: Snapshot | None,
    cancel: Cancel,
) -> ExitStatus:
    looking: AbstractContextManager[object] = nullcontext()
    setting = Setting(
        root=worker.root,
        active=active,
        lowers=() if snapshot is None else worker.snapshots.lowers(snapshot),
        grants=grants,
        origins=origins,
        sandboxes=Sandboxes(),
        looking=looking,
        copied=worker.snapshots.copies,
    )
    with ExitStack() as stack:
        mounting = Mounting(worker.root, origins, grants, stack, cancel, looking)
        spec = sandbox_of(op, setting, mounting.all(op.mounts))
        if wish.tty:
            env = {"TERM": os.environ.get("TERM", "xterm"), **dict(spec.process.env)}
            process = spec.process._replace(env=tuple(sorted(env.items())))
            spec = spec._replace(process=process)
        directory = worker.root.tmp()
        return run_attached(spec, directory, tty=wish.tty, interactive=wish.interactive)


def missing_grants(op: object, grants: Grants) -> list[str]:
    """Return the secrets and agents that the step was given and that are not given now."""
    if not isinstance(op, ExecOp):
        return []
    missing = [
        f"--secret id={mount.id}"
        for mount in op.mounts
        if isinstance(mount, SecretMount) and mount.id not in grants.secrets
    ]
    if grants.agents is None:
        missing += [f"--ssh {mount.id}" for mount in op.mounts if isinstance(mount, SshMount)]
    return missing


def _environment(build: BuildRecord, past: PastStep, worker: Worker, side: Side) -> ExecOp:
    """Return the op that tells environment, user and mounts: the step's own, if it is a RUN.

    A COPY or WORKDIR has none; it is seen as the last RUN before it would see it.
    """
    if isinstance(past.op, ExecOp):
        return past.op._replace(mounts=tuple(map(_wished, past.op.mounts)))
    found = _last_run(build, past, worker)
    if isinstance(past.op, MkdirOp) and side == "after":
        found = found._replace(cwd=past.op.path)
    return found


def _wished(mount: ExecMount) -> ExecMount:
    """Return a mount that may be left out."""
    if isinstance(mount, SecretMount | SshMount):
        return mount._replace(required=False)
    return mount


def _last_run(build: BuildRecord, past: PastStep, worker: Worker) -> ExecOp:
    record = past.record
    while record.inputs and isinstance(record.inputs[0], int):
        record = build.steps[record.inputs[0]]
        if record.kind == "exec":
            op = past_step(build, record, worker).op
            if isinstance(op, ExecOp):
                return op._replace(mounts=(), script=None)
    return ExecOp(
        args=(),
        env=(("PATH", _PATH),),
        cwd="/",
        user="",
        network="default",
        security="sandbox",
        mounts=(),
        platform=build.platform,
        hostname="buildkitsandbox",
    )


def _shell_of(op: ExecOp) -> str:
    """Return the step's own shell, if it is one that can be talked to."""
    first = op.args[0] if op.args else ""
    return first if os.path.basename(first) in _SHELLS else DEFAULT_SHELL


def _script(args: Sequence[str], command: Sequence[str]) -> tuple[str, ...]:
    """Return what runs `args`, says how that ended, and then runs `command`."""
    told = f'echo "pybuild: exit code: $?" >&2; exec {shlex.join(command)}'
    return (DEFAULT_SHELL, "-c", f"{shlex.join(args)}; {told}")


@contextmanager
def _prepared(worker: Worker, snapshot: Snapshot | None) -> Iterator[Active]:
    active = worker.snapshots.prepare(snapshot)
    try:
        yield active
    finally:
        worker.snapshots.discard(active)
