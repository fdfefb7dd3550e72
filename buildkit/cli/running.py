"""What `run` does with what it was asked for; `create` uses parts of it.

In: parsed arguments. Out: an exit status. Imported when the process that will be the container's
monitor is forked already (`runtime/early.py`), so that both import at the same time.
"""

from __future__ import annotations

import contextlib
import os
import sys
from functools import partial

from buildkit.cli.attending import attended, manner_of, tell
from buildkit.cli.interrupts import cancellable
from buildkit.cli.options import open_root
from buildkit.cli.run_image import files_of, image_of
from buildkit.cli.run_options import wishes_of
from buildkit.containers.create import create, create_of_directory
from buildkit.containers.making import Wishes
from buildkit.containers.start import Started, start
from buildkit.containers.store import Container, ContainerStore
from buildkit.errors import UsageError
from buildkit.snapshot.overlay import OverlayStore
from runtime import starting
from runtime.errors import StateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from io import FileIO

    from buildkit.cli.arguments import Namespace
    from buildkit.state.root import StateRoot
    from runtime.early import Early


def run(args: Namespace, early: Early | None) -> int:
    """Run the container; return its exit status."""
    wishes = wishes_of(args)
    if args.tty and args.interactive and wishes.attached and not os.isatty(0):
        raise UsageError("the input device is not a terminal", hint="leave -t out")
    manner = manner_of(args)
    shared = wishes.options.network == "default"
    with cancellable(), open_root(args, shared=shared, beside=wishes.others) as root:
        started = _started(root, args, wishes, early)
        if not wishes.attached:
            return _left(root, started)
        status = attended(started, manner)
        if wishes.remove and os.path.exists(started.task.directory):
            # Its monitor was killed, or we have detached, and it is not removed then.
            _take_back(root, started.task.identity)
        return status


def _left(root: StateRoot, started: Started) -> int:
    """Leave the container to itself once its program runs; return the exit status."""
    try:
        status = starting.running(started.connection)
    except StateError:  # from no monitor, which would have removed it
        if started.task.remove:
            _take_back(root, started.task.identity)
        raise
    if status is not None:
        tell(status)
        return status.code
    sys.stdout.write(f"{started.task.identity}\n")
    return 0


def _started(root: StateRoot, args: Namespace, wishes: Wishes, early: Early | None) -> Started:
    """Make the container and start it; one that shall not stay goes again if that cannot be."""
    store = OverlayStore(root)
    wishes = wishes._replace(identity=os.urandom(32).hex())
    try:
        with cidfile(args.cidfile) as tell_identity:
            one = made(root, store, args, wishes)
            tell_identity(one.record.identity)
            return start(root, store, one, attached=wishes.attached, early=early)
    except BaseException:
        if wishes.remove:
            _take_back(root, wishes.identity)
        raise


def _take_back(root: StateRoot, identity: str) -> None:
    """Remove a container that has no monitor to do so, if it was made at all."""
    root.forget_connections()  # perhaps no more files may be open
    containers = ContainerStore(root)
    with contextlib.suppress(UsageError, OSError):
        from buildkit.containers.ending import remove, wait_for_monitor  # for this alone
        from buildkit.containers.volumes import VolumeStore

        one = containers.find(identity)
        wait_for_monitor(one)  # one that was killed may be dying still
        remove(containers, one, volumes=VolumeStore(root))


def made(root: StateRoot, store: OverlayStore, args: Namespace, wishes: Wishes) -> Container:
    """Make the container that the arguments ask for."""
    if args.replace and wishes.name:
        _make_way(ContainerStore(root), wishes.name)
    access = (
        *(("--authfile", args.authfile) if args.authfile else ()),
        *(("--tls-verify", args.tls_verify) if args.tls_verify else ()),
    )
    if any(mount.kind == "image" for mount in wishes.mounts):
        from buildkit.containers import image_mounts  # for these only

        find = partial(files_of, root, policy=args.pull, access=access)
        wishes = wishes._replace(images=image_mounts.found(store, wishes.mounts, find))
    if args.rootfs:
        return create_of_directory(root, args.image, wishes)
    image = image_of(root, args.image, policy=args.pull, platform=platform(args), access=access)
    return create(root, store, image, wishes)


def platform(args: Namespace) -> str:
    """Return what --platform says, or its parts; empty for nothing."""
    if not args.os and not args.arch and not args.variant:
        return str(args.platform)
    from buildkit.oci.platforms import Platform  # for these options only

    here = Platform.host()
    parts = (args.os or here.os, args.arch or here.architecture, args.variant)
    return "/".join(filter(None, parts))


def _make_way(containers: ContainerStore, name: str) -> None:
    from buildkit.containers.ending import remove  # for --replace only

    try:
        old = containers.find(name)
    except UsageError:
        return
    remove(containers, old, force=True)


@contextlib.contextmanager
def cidfile(path: str | None) -> Iterator[Callable[[str], None]]:
    """Give what writes a container's ID into a new file; without an ID in the end, it goes again.

    Raises UsageError where it cannot be made, or is there already.
    """
    if path is None:
        yield lambda _: None
        return
    file: FileIO | None = None
    told = False

    def write(identity: str) -> None:
        nonlocal told
        if file is not None:
            with file:
                file.write(identity.encode())
            told = True

    try:
        # A signal may come at any line: whoever has made the file must be the one to remove it.
        file = _reserved(path)
        yield write
    finally:
        if file is not None and not told:
            file.close()
            os.unlink(path)


def _reserved(path: str) -> FileIO:
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        return open(os.open(path, flags, 0o644), "wb", buffering=0)
    except FileExistsError:
        raise UsageError(
            f"the file {path} exists", hint="does its container still run? else remove the file"
        ) from None
    except OSError as error:
        raise UsageError(f"--cidfile {path}: {(error.strerror or '').lower()}") from error
