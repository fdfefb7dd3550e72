"""What the commands about containers share: finding them, and doing the same to several.

In: parsed arguments. Out: containers; an exit status that says whether all went well.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager

from buildkit.cli.options import open_root
from buildkit.cli.report import describe
from buildkit.containers.store import Container, ContainerStore
from buildkit.errors import BuildError, UsageError
from runtime.errors import SandboxError
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from buildkit.cli.arguments import Namespace, Parser
    from buildkit.state.root import StateRoot


class Opened(NamedTuple):
    """The store of a command."""

    root: StateRoot
    containers: ContainerStore


@contextmanager
def opened(
    args: Namespace, *, shared: bool = False, beside: Sequence[str] = ()
) -> Iterator[Opened]:
    """Open the store for the time of a block; `shared` and `beside` as for `open_root`."""
    with open_root(args, shared=shared, beside=beside) as root:
        yield Opened(root, ContainerStore(root))


def names_argument(parser: Parser, *, several: bool = True) -> None:
    """Declare which containers are meant, in `args.containers`."""
    parser.add_argument(
        "containers", nargs="*" if several else 1, metavar="CONTAINER", help="a name or an ID"
    )


def chosen(
    args: Namespace, containers: ContainerStore, wanted: Callable[[Container], bool]
) -> Iterator[Container]:
    """Yield those that the arguments name, or with --all those that are `wanted`."""
    everything = getattr(args, "all", False)
    if bool(args.containers) == everything:
        raise UsageError("name containers, or give --all", hint="'pybuild ps -a' lists them")
    if everything:
        yield from (one for one in containers.all() if wanted(one))
    else:
        yield from found(containers, args.containers)


def found(containers: ContainerStore, texts: Sequence[str]) -> Iterator[Container]:
    """Yield the containers that the texts mean."""
    if not texts:
        raise UsageError("name a container", hint="'pybuild ps' lists them")
    for text in texts:
        yield containers.find(text)


def for_each(
    args: Namespace,
    containers: ContainerStore,
    act: Callable[[Container], object],
    *,
    wanted: Callable[[Container], bool] = lambda _: True,
    printed: bool = True,
) -> int:
    """Do something to each, and print its name; 1 when one of them could not be done."""
    status = 0
    if getattr(args, "all", False) or not args.containers:
        todo: list[str | Container] = list(chosen(args, containers, wanted))
    else:
        todo = list(args.containers)
    for item in todo:
        try:
            one = containers.find(item) if isinstance(item, str) else item
            act(one)
        except (BuildError, SandboxError, OSError) as error:
            _code, text = describe(error)
            sys.stderr.write(text)
            status = 1
            continue
        if printed:
            sys.stdout.write(f"{item if isinstance(item, str) else one.record.name}\n")
    return status


def in_processes(names: Sequence[str], act: Callable[[str], object]) -> int:
    """Do something to each in a process of its own, and print its name; 1 when one went wrong.

    Whoever has started one monitor can start no other process.
    """
    status = 0
    for name in names:
        pid = os.fork()
        if pid == 0:
            os._exit(_done(name, act))
        if os.waitpid(pid, 0)[1]:
            status = 1
    return status


def _done(name: str, act: Callable[[str], object]) -> int:
    try:
        act(name)
        sys.stdout.write(f"{name}\n")
        sys.stdout.flush()
    except KeyboardInterrupt:  # told by the process that waits for this one
        return 130
    except Exception as error:  # noqa: BLE001 - told as everywhere, from a process of its own
        _code, message = describe(error)
        sys.stderr.write(message)
        sys.stderr.flush()
        return 1
    return 0


def is_running(one: Container) -> bool:
    """Say whether a container runs, paused or not; one that is gone by now does not."""
    try:
        return one.state.status in ("running", "paused", "restarting")
    except FileNotFoundError:
        return False
