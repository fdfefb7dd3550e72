"""The containers below a state root: which there are, and how to find one.

In: names and IDs. Out: `Container` values. A container is a directory `containers/<64 hex>`; it
comes and goes by one rename, and `containers/names/NAME` is a link to it, so a name is had by one
container at a time. What is in a directory: `runtime/container.py`, and `record.py`.
"""

from __future__ import annotations

import contextlib
import os

from buildkit.containers import record as records
from buildkit.containers.names import random_name
from buildkit.errors import Cancelled, StoreError, UsageError
from buildkit.oci.digest import is_hex
from buildkit.state.removal import remove_tree
from runtime import container, events
from runtime.container import State, Task
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from buildkit.containers.record import Record
    from buildkit.state.root import StateRoot


_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


class Container(NamedTuple):
    """A container of the store."""

    directory: str
    record: Record

    @property
    def state(self) -> State:
        """How it is at this moment."""
        return container.read_state(self.directory)

    @property
    def short(self) -> str:
        """The twelve digits by which people know it."""
        return self.record.identity[:12]


def not_running(one: Container) -> UsageError:
    """Return what is told of a container that does not run, and would have to."""
    name = one.record.name
    return UsageError(f"container {name} is not running", hint="pybuild ps lists what runs")


class ContainerStore:
    """The containers below one state root; any number of processes may use it."""

    def __init__(self, root: StateRoot) -> None:
        self._root = root
        self._top = root.path("containers")

    def directory(self, identity: str) -> str:
        """Return where a container is."""
        return f"{self._top}/{identity}"

    def add(self, record: Record, task: Task, directory: str) -> Container:
        """Make the half-made `directory` a container. Raises UsageError when its name is taken.

        Without a name of the user's it gets one. Its layers must be marked as in use already.
        """
        made = Container(task.directory, record)
        try:
            with self._root.writing("containers"):
                records.write(directory, record)
                container.write_task(task._replace(directory=directory))
                container.write_state(directory, State())
                os.rename(directory, task.directory)
                self._link(record)
            self.event(made, "create", image=record.image)
        except (Cancelled, KeyboardInterrupt):  # nobody has been told of it
            with contextlib.suppress(UsageError, OSError):
                self.remove(made)
            raise
        return made

    def _link(self, record: Record) -> None:
        try:
            self._take(record.name, record.identity)
        except UsageError:
            self._discard(record.identity)
            raise

    def _take(self, name: str, identity: str) -> None:
        """Let a name mean a container. Raises UsageError when it means one that is there."""
        os.makedirs(f"{self._top}/names", 0o700, exist_ok=True)
        linked = f"{self._top}/names/{name}"
        for _ in range(2):
            try:
                os.symlink(f"../{identity}", linked)
            except FileExistsError:
                self.check_free(name)
                # Its container is gone, or cut off by a power failure.
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(linked)
            else:
                return
        # Others were quicker, and are gone again.
        raise UsageError(f"the name {name} is taken", hint="try again")

    def check_free(self, name: str) -> None:
        """Raise UsageError when a container that is there has this name."""
        linked = f"{self._top}/names/{name}"
        if os.path.exists(linked):
            holder = os.path.basename(os.path.realpath(linked))
            raise UsageError(
                f"the name {name} is taken by container {holder[:12]}",
                hint=f"pybuild rm {name} frees it; --replace of run and create does it for you",
            )

    def rename(self, one: Container, name: str) -> None:
        """Give a container another name. Raises UsageError when it is taken or is none.

        Its neighbours know a running one by the new name once it is started again.
        """
        check_name(name)
        old = one.record.name
        with self._root.writing("containers"):
            self._take(name, one.record.identity)
            task = container.read_task(one.directory)
            renamed = tuple(name if text == old else text for text in task.names)
            container.write_task(task._replace(names=renamed, directory=one.directory))
            records.rewrite(one.directory, one.record._replace(name=name))
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{self._top}/names/{old}")
        self.event(Container(one.directory, one.record._replace(name=name)), "rename", oldName=old)

    def new_name(self) -> str:
        """Return a name that nobody has."""
        while True:
            name = random_name()
            if not os.path.lexists(f"{self._top}/names/{name}"):
                return name

    def find(self, text: str) -> Container:
        """Return the container that a name, an ID, or the beginning of one means."""
        if _is_name(text):
            linked = f"{self._top}/names/{text}"
            if os.path.exists(linked):
                return self._at(os.path.realpath(linked))
            found = [one for one in self._identities() if one.startswith(text)]
            if len(found) > 1:
                raise UsageError(
                    f"{text} is the beginning of several container IDs", hint="give more of the ID"
                )
            if found:
                return self._at(f"{self._top}/{found[0]}")
        raise UsageError(f"there is no container {text!r}", hint="'pybuild ps -a' lists them all")

    def means_any(self, text: str) -> bool:
        """Say whether a text means a container, or is the beginning of several IDs."""
        if not _is_name(text):
            return False
        named = os.path.exists(f"{self._top}/names/{text}")
        return named or any(one.startswith(text) for one in self._identities())

    def all(self) -> Iterator[Container]:
        """Yield all containers, the newest first."""
        found = []
        for identity in self._identities():
            with contextlib.suppress(UsageError, StoreError):
                found.append(self._at(f"{self._top}/{identity}"))
        yield from sorted(found, key=lambda one: one.record.created, reverse=True)

    def _identities(self) -> list[str]:
        return [name for name in os.listdir(self._top) if is_hex(name)]

    def _at(self, directory: str) -> Container:
        try:
            return Container(directory, records.read(directory))
        except FileNotFoundError:
            name = os.path.basename(directory)
            raise UsageError(f"container {name[:12]} is gone") from None

    def remove(self, one: Container) -> None:
        """Remove a container that does not run. Raises UsageError when it does."""
        lock = container.hold(one.directory)
        if lock is None:
            raise UsageError(
                f"container {one.record.name} is running", hint="stop it, or add --force"
            )
        try:
            with contextlib.suppress(FileNotFoundError):
                linked = f"{self._top}/names/{one.record.name}"
                if os.path.basename(os.readlink(linked)) == one.record.identity:
                    os.unlink(linked)
            remove_groups(one.state)
            self._discard(one.record.identity)
        finally:
            os.close(lock)
        self.event(one, "destroy")

    def _discard(self, identity: str) -> None:
        trash = f"{self._root.tmp()}/gone"
        with self._root.writing("containers"):
            os.rename(self.directory(identity), trash)
            remove_tree(trash)

    def event(self, one: Container, action: str, **attributes: str) -> None:
        """Record that something happened to a container."""
        named = {"name": one.record.name, **attributes}
        events.record(self._top, action, one.record.identity, named)


def remove_groups(state: State) -> None:
    """Remove the control groups that a monitor left when it was killed."""
    if state.groups:
        from runtime import cgroups  # where there are some

        cgroups.clear(state.groups)


def _is_name(text: str) -> bool:
    return 0 < len(text) <= 128 and text[0] in _LETTERS and not text.strip(f"{_LETTERS}_.-")


def check_name(text: str) -> str:
    """Return a name that a container may have. Raises UsageError."""
    if not _is_name(text):
        raise UsageError(
            f"invalid container name {text!r}",
            hint="letters, digits and _.- are allowed, and the first is no sign",
        )
    return text
