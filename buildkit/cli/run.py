"""`pybuild run`: an image in a new container, attached to the caller.

Exit status: that of the command; 125 when pybuild could not do it, 126 when the command cannot be
executed, 127 when it is not there, 128+n when signal n ended it. Imports neither lark nor
networkx nor tqdm.
"""

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from buildkit.archive.remote import local_image, obtain
from buildkit.cli.options import open_root
from buildkit.cli.pulling import PULL_HELP, pull_policy
from buildkit.content.local import LocalBlobStore
from buildkit.errors import UsageError
from buildkit.images import ImageStore
from buildkit.launch import (
    RunOptions,
    parse_entrypoint,
    parse_env,
    parse_volume,
    sandbox_for,
)
from buildkit.oci.config import ResolvedImage
from buildkit.oci.platforms import Platform
from buildkit.sizes import parse_size
from buildkit.snapshot.overlay import OverlayStore
from buildkit.snapshot.snapshot import Active, Snapshot
from buildkit.state.root import StateRoot
from runtime.spec import Resources, RootFs
from runtime.terminal import run_attached
from runtime.values import NamedTuple


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `run`; names and meaning are docker's."""
    add = parser.add_argument
    parser.usage = "pybuild run [OPTIONS] IMAGE [COMMAND...]"
    add("--rm", action="store_true", help="accepted: containers are removed when they end")
    add("-e", "--env", action="append", default=[], metavar="NAME[=VALUE]")
    add("--env-file", action="append", default=[], metavar="FILE")
    add("-v", "--volume", action="append", default=[], metavar="SOURCE:TARGET[:ro]")
    add("--tmpfs", action="append", default=[], metavar="TARGET[:OPTIONS]")
    add("-w", "--workdir", default="", metavar="DIR")
    add("-u", "--user", default="", metavar="NAME|UID[:GROUP|GID]")
    add("-i", "--interactive", action="store_true", help="keep standard input open")
    add("-t", "--tty", action="store_true", help="give the command a terminal")
    add("--entrypoint", metavar="PROGRAM|JSON", help="replaces ENTRYPOINT and clears CMD")
    add("--hostname", default="", metavar="NAME")
    add("--add-host", action="append", default=[], metavar="NAME:IP")
    add("--network", default="default", choices=("default", "none", "host"))
    add("--read-only", action="store_true", help="the root file system cannot be written")
    add("-m", "--memory", metavar="SIZE", help="limit of memory")
    add("--cpus", type=float, metavar="N", help="limit of processor time")
    add("--pids-limit", type=int, metavar="N", help="limit of processes")
    add("--pull", default="missing", metavar="always|missing|never|newer", help=PULL_HELP)
    add("image", metavar="IMAGE")
    add("command", nargs=argparse.REMAINDER, metavar="COMMAND")


def command(args: argparse.Namespace) -> int:
    """Run the container; return its exit status."""
    options = _options(args)
    with open_root(args) as root:
        store = OverlayStore(root)
        image = _image(args, _Stores(root, store, LocalBlobStore(root), ImageStore(root)))
        snapshot = Snapshot.of(image.config.diff_ids)
        if snapshot is not None and not store.has(snapshot.diff_ids):
            raise UsageError(f"the layers of image {args.image} are gone", hint="build it again")
        name = os.urandom(6).hex()
        with _prepared(store, snapshot) as active:
            lowers = () if snapshot is None else store.lowers(snapshot)
            spec = sandbox_for(
                image.config.config,
                RootFs(lowers=lowers, upper=active.upper, work=active.work),
                options,
                name=name,
                volumes=_named_volumes(root, options),
            )
            status = run_attached(spec, tty=args.tty, interactive=args.interactive)
    if status.reason and (not status.started or status.oom):
        sys.stderr.write(f"pybuild: {status.reason}\n")
    return status.code


class _Stores(NamedTuple):
    """What an image can be pulled into."""

    root: StateRoot
    snapshots: OverlayStore
    blobs: LocalBlobStore
    images: ImageStore


def _image(args: argparse.Namespace, stores: _Stores) -> ResolvedImage:
    """Return the image, pulled first if need be."""
    policy = pull_policy(args.pull)
    platform = Platform.host()
    if policy == "missing" and (here := local_image(args.image, platform, stores)) is not None:
        return here
    # Displays of progress, signals: only when a registry is asked
    from buildkit.cli.interrupts import cancelling
    from buildkit.progress.table import display_for

    with cancelling() as cancel, display_for("auto") as display:
        return obtain(args.image, platform, policy, stores, display.emit, cancel)


@contextmanager
def _prepared(store: OverlayStore, snapshot: Snapshot | None) -> Iterator[Active]:
    active = store.prepare(snapshot)
    try:
        yield active
    finally:
        store.discard(active)


def _named_volumes(root: StateRoot, options: RunOptions) -> dict[str, str]:
    """Return the directory of each named volume, made when it is new."""
    found = {}
    for volume in options.volumes:
        name = volume.source
        if name.startswith("/"):
            continue
        if not name or not all(char.isalnum() or char in "_.-" for char in name) or name[0] in ".-":
            raise UsageError(
                f"invalid volume name {name!r}",
                hint="a directory is given by a path with a slash: ./NAME",
            )
        path = root.path("volumes", name)
        os.makedirs(path, mode=0o755, exist_ok=True)
        found[name] = path
    return found


def _options(args: argparse.Namespace) -> RunOptions:
    """Return what the parsed arguments ask for. Raises UsageError."""
    if args.tty and not os.isatty(0) and args.interactive:
        raise UsageError("the input device is not a terminal", hint="leave -t out")
    words = args.command[1:] if args.command[:1] == ["--"] else args.command
    return RunOptions(
        command=tuple(words),
        entrypoint=None if args.entrypoint is None else parse_entrypoint(args.entrypoint),
        env=parse_env(args.env, args.env_file),
        workdir=args.workdir,
        user=args.user,
        volumes=tuple(parse_volume(text) for text in args.volume),
        tmpfs=tuple(args.tmpfs),
        hostname=args.hostname,
        network=args.network,
        extra_hosts=tuple(_host(text) for text in args.add_host),
        terminal=args.tty,
        readonly=args.read_only,
        resources=_resources(args),
    )


def _resources(args: argparse.Namespace) -> Resources:
    try:
        memory = None if args.memory is None else parse_size(args.memory)
    except ValueError as error:
        raise UsageError(f"invalid value for --memory: {args.memory}", hint="as in 512m") from error
    return Resources(memory=memory, cpus=args.cpus, pids=args.pids_limit, account=False)


def _host(text: str) -> tuple[str, str]:
    name, colon, address = text.partition(":")
    if not colon or not name or not address:
        raise UsageError(f"invalid --add-host {text!r}", hint="the form is NAME:IP")
    return name, address
