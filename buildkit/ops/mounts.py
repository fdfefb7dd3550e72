"""Mounts of a RUN: from what the op says to what the sandbox does.

In: `ExecMount` values, the trees of the vertex's inputs, secrets, the state root. Out: mounts of
the sandbox, with all that was opened, locked or made for them on an `ExitStack`. Sources are
resolved inside their tree and pinned by descriptor, so that nobody can swap them (guarantee S14);
what the ignore file hides cannot be mounted (S12), which is why a context is copied first.
"""

from __future__ import annotations

import os
import stat
from contextlib import AbstractContextManager, ExitStack

from buildkit.errors import StepError, UsageError
from buildkit.llb.op import (
    BindMount,
    CacheMount,
    ExecMount,
    SecretMount,
    SshMount,
    TmpfsMount,
)
from buildkit.ops import cache_mounts, secrets
from buildkit.ops.copy import copy_into
from buildkit.ops.grants import Grants
from buildkit.ops.origins import Origins
from buildkit.ops.select import select
from buildkit.ops.shown import is_shown_as_it_lies, mount_copy
from buildkit.progress.cancel import Cancel
from buildkit.state.root import StateRoot
from runtime import mounts as kernel
from runtime import owners
from runtime.safepath import open_beneath
from runtime.spec import BindFd, File, Mount, Overlay, Tmpfs
from runtime.typed import assert_never
from runtime.values import NamedTuple


class Mounted(NamedTuple):
    """What the mounts of a RUN come to: mounts, and variables with the values of secrets.

    `agent`: where the first ssh agent is, empty for none. `secrets`: the values of secrets.
    """

    mounts: tuple[Mount, ...]
    env: tuple[tuple[str, str], ...]
    agent: str
    secrets: tuple[bytes, ...] = ()


class Mounting:
    """Prepares the mounts of one RUN; what has to be undone goes on `stack`."""

    def __init__(
        self,
        root: StateRoot,
        origins: Origins,
        grants: Grants,
        stack: ExitStack,
        cancel: Cancel,
        looking: AbstractContextManager[object],
    ) -> None:
        self._root = root
        self._origins = origins
        self._grants = grants
        self._stack = stack
        self._cancel = cancel
        self._looking = looking

    def all(self, wanted: tuple[ExecMount, ...]) -> Mounted:
        """Return what the sandbox mounts. Raises StepError, UsageError, Cancelled, OSError."""
        found: list[Mount] = []
        env: list[tuple[str, str]] = []
        agent = ""
        values: list[bytes] = []
        # In one order for all steps, so that two that lock the same directories cannot wait for
        # each other.
        caches = sorted({mount for mount in wanted if isinstance(mount, CacheMount)}, key=str)
        directories = {mount: self._cache(mount) for mount in caches}
        for mount in wanted:
            match mount:
                case BindMount():
                    found.append(self._bind(mount))
                case CacheMount():
                    found.append(directories[mount])
                case TmpfsMount(target=target, size=size):
                    found.append(Tmpfs(target, size=size))
                case SecretMount():
                    values += self._secret(mount, found, env)
                case SshMount():
                    if self._agent(mount, found):
                        agent = agent or mount.target
                case _:
                    assert_never(mount)
        return Mounted(tuple(found), tuple(env), agent, tuple(values))

    def _bind(self, mount: BindMount) -> Mount:
        with self._looking:
            path = self._materialised(mount.origin, mount.source)
        directory = stat.S_ISDIR(os.fstat(path).st_mode)
        pinned = self._pinned(mount, path)
        if mount.readonly:
            return BindFd(pinned, mount.target, readonly=True, source=mount.source or "/")
        if directory:
            return Overlay(mount.target, (pinned,))
        os.close(pinned)
        return BindFd(
            self._own_copy(path), mount.target, readonly=False, source=mount.source or "/"
        )

    def _pinned(self, mount: BindMount, path: int) -> int:
        """Return a pinned copy of `path`, the source of the mount."""
        tree = self._origins.tree(mount.origin)
        lowers: tuple[str, ...] = ()
        if not kernel.can_pin_from_detached() and is_shown_as_it_lies(tree):
            lowers = self._origins.lowers(mount.origin)
        if len(lowers) < 2:
            return kernel.pin(path)
        # Its view is a detached mount, from which older kernels copy nothing.
        found = tree.find(mount.source.lstrip("/")).path
        return kernel.pin_in_stack(lowers, found, self._root.tmp())

    def _materialised(self, origin: int, source: str) -> int:
        """Return an O_PATH descriptor of `source` in input `origin`; it goes with the stack.

        A tree with patterns is copied first, so that what they hide is not to be seen.
        """
        tree = self._origins.tree(origin)
        if is_shown_as_it_lies(tree):
            return self._opened(tree.root_fd, tree.find(source.lstrip("/")).path)
        copied = self._copy(origin, source)
        fd = os.open(copied, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._stack.callback(os.close, fd)
        return self._opened(fd, "content" if os.path.lexists(f"{copied}/content") else ".")

    def _copy(self, origin: int, source: str) -> str:
        """Copy what `source` names into a new private directory, as `content`; return that."""
        op = mount_copy(origin, source)
        trees = self._origins.trees({origin})
        target = self._root.tmp()
        selection = select(op, trees)
        copy_into(op, selection, trees, None, target, check=self._cancel.check)
        for root in selection.roots:
            if root.directory:
                # What is in a directory is copied, and so it had the time of this very moment.
                found = os.stat(trees[origin].open_directory(root.path))
                os.utime(f"{target}/content", ns=(found.st_mtime_ns, found.st_mtime_ns))
        return target

    def _opened(self, root_fd: int, path: str) -> int:
        fd = open_beneath(root_fd, path or ".", os.O_PATH | os.O_CLOEXEC | os.O_NOFOLLOW)
        self._stack.callback(os.close, fd)
        return fd

    def _own_copy(self, fd: int) -> int:
        """Return a pinned copy of the file `fd`, for a mount whose writes are thrown away."""
        copied = f"{self._root.tmp()}/file"
        found = owners.stat_of(fd)
        if stat.S_ISREG(found.st_mode):
            self._copy_content(fd, copied)
        else:
            # Opening a pipe would wait for whoever is at its other end (S12).
            os.mknod(copied, stat.S_IFMT(found.st_mode) | 0o600, found.st_rdev)
        owners.give(copied, found.st_uid, found.st_gid)
        os.chmod(copied, stat.S_IMODE(found.st_mode))
        os.utime(copied, ns=(found.st_mtime_ns, found.st_mtime_ns))
        again = os.open(copied, os.O_PATH | os.O_CLOEXEC)
        self._stack.callback(os.close, again)
        return kernel.pin(again)

    def _copy_content(self, fd: int, copied: str) -> None:
        source = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC)
        made = os.open(copied, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            # Not copy_file_range(2), which does not go from an overlay to the file system below.
            while os.sendfile(made, source, None, 1 << 24):
                self._cancel.check()
        finally:
            os.close(source)
            os.close(made)

    def _cache(self, mount: CacheMount) -> Mount:
        content = ""
        if mount.origin is not None:
            op = mount_copy(mount.origin, mount.source)
            with self._looking:
                digests = select(op, self._origins.trees({mount.origin})).digests
            content = str(digests.get(mount.origin, ""))

        def fill(directory: str) -> None:
            if mount.origin is not None:
                self._fill(mount.origin, mount.source, directory)

        path = self._stack.enter_context(
            cache_mounts.directory(self._root, mount, content, fill, self._cancel)
        )
        fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._stack.callback(os.close, fd)
        return BindFd(
            kernel.pin(fd), mount.target, readonly=mount.readonly, source=f"cache {mount.id}"
        )

    def _fill(self, origin: int, source: str, directory: str) -> None:
        """Put the content of directory `source` into `directory`."""
        op = mount_copy(origin, source)._replace(dest="/")
        with self._looking:
            trees = self._origins.trees({origin})
            copy_into(op, select(op, trees), trees, None, directory, check=self._cancel.check)

    def _secret(
        self, mount: SecretMount, found: list[Mount], env: list[tuple[str, str]]
    ) -> tuple[bytes, ...]:
        """Add what shows a secret; return its value, nothing where there is none."""
        source = self._grants.secrets.get(mount.id)
        if source is None:
            if mount.required:
                raise StepError(
                    f"secret {mount.id}: not found",
                    hint=f"give it with --secret id={mount.id},src=FILE or env=NAME",
                )
            return ()
        value = secrets.read(mount.id, source)
        if mount.target:
            found.append(File(mount.target, value, mode=mount.mode, uid=mount.uid, gid=mount.gid))
        if mount.env:
            if b"\0" in value:
                raise UsageError(f"secret {mount.id} holds a NUL byte: it cannot be a variable")
            env.append((mount.env, os.fsdecode(value)))
        return (value,)

    def _agent(self, mount: SshMount, found: list[Mount]) -> bool:
        """Add the socket of an agent; False when none was given and none is required."""
        agents = self._grants.agents
        agent = "" if agents is None else agents.socket(mount.id)
        if not agent:
            if mount.required:
                raise StepError(
                    f'no SSH key "{mount.id}" forwarded from the client',
                    hint=f"give an agent with --ssh {mount.id}",
                )
            return False
        from buildkit.ops.ssh import forwarded  # sockets and threads: for such mounts only

        own = forwarded(agent, self._root.tmp(), mode=mount.mode, uid=mount.uid, gid=mount.gid)
        try:
            path = self._stack.enter_context(own)
        except OSError as error:
            raise StepError(f"ssh {mount.id}: {error.strerror}") from error
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
        self._stack.callback(os.close, fd)
        agent_of = f"the agent of {mount.id}"
        found.append(BindFd(kernel.pin(fd), mount.target, readonly=True, source=agent_of))
        return True
