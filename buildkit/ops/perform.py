"""Carrying out what is not cached: COPY, WORKDIR and RUN become layers.

In: an op, the results of its inputs, what was selected for it. Out: `Outcome`. Imported when a
build first misses its cache; nothing of it is needed before.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from json.encoder import encode_basestring_ascii as quoted

from buildkit.cache.result import Outcome, Usage
from buildkit.context.tree import Tree
from buildkit.errors import Cancelled, StepError
from buildkit.llb.op import CopyOp, ExecOp, GitOp, HttpOp, MkdirOp
from buildkit.ops.chown import Owner
from buildkit.ops.copy import LinkFrom, copy_into
from buildkit.ops.copy_plan import Plan, plan
from buildkit.ops.earlier import WORTHWHILE, EarlierLayer, last_result
from buildkit.ops.grants import Grants
from buildkit.ops.leaks import LeakWatch, values_of
from buildkit.ops.lookups import of_copy, of_mkdir, view_for
from buildkit.ops.mkdir import make_directory
from buildkit.ops.origins import Origins
from buildkit.ops.plan_reading import PlanReading
from buildkit.ops.selection import Selection
from buildkit.ops.stores import Stores
from buildkit.ops.target import can_own, failing
from buildkit.progress.cancel import Cancel
from buildkit.progress.reporter import StepReporter
from buildkit.snapshot.layers import Layers, has_tree, is_in_pieces
from buildkit.snapshot.piece_writer import NewItems
from buildkit.snapshot.snapshot import Active, Change, Committed, Snapshot
from buildkit.snapshot.store import Candidates
from runtime import accounts, owners
from runtime.accounts import Account
from runtime.mounts import mounted_overlay_fd

TYPE_CHECKING = False
if TYPE_CHECKING:  # with a sandbox, or with ssl: for steps that have use for them
    from typing import TypeAlias

    from buildkit.ops.execute import Setting
    from buildkit.ops.remotes import Remotes
    from buildkit.ops.sandboxes import Sandboxes

_SMALL = 64 << 10
"""Bytes: files that are larger on average are written at once, for that costs most."""

Salvage: TypeAlias = Callable[[int], None]
"""Is shown the file system of a step that failed, by a descriptor; it is removed after that."""


class Performer:
    """Makes layers. Any thread may use it; `looking` is held while a shared tree is looked at.

    `clamp`: no time in a new layer is later than that (seconds since the epoch).
    """

    def __init__(
        self,
        stores: Stores,
        sandboxes: Sandboxes,
        grants: Grants,
        looking: AbstractContextManager[object],
        *,
        clamp: int | None,
        salvage: Salvage | None,
    ) -> None:
        self._stores = stores
        self._sandboxes = sandboxes
        self._grants = grants
        self._looking = looking
        self._clamp = clamp
        self._salvage = salvage
        # Read when the first layer is made: what is cached was searched then.
        self._values = values_of(grants.secrets) if grants.search and grants.secrets else {}

    def copy(
        self,
        op: CopyOp,
        parent: Snapshot | None,
        selection: Selection,
        trees: Mapping[int, Tree],
        cancel: Cancel,
    ) -> Outcome:
        """Return what COPY or ADD gives. Raises StepError, ContextError, StoreError, Cancelled."""
        below = None if op.link else parent
        with ExitStack() as stack:
            views = self._stores.snapshots
            # A linked copy may stand on layers that are elsewhere: they are needed for names alone.
            seen = None if op.link and not op.chown else parent
            view = None
            if seen is not None:
                lookups = of_copy(op, selection)
                view = stack.enter_context(view_for(views, seen, lookups))
            active = self._prepared(stack, below)
            on = None if below is None else view
            planned = self._plan(op, selection, trees, on, active, owner_view=view)
            if planned is not None:
                reading = stack.enter_context(PlanReading(planned, trees, cancel.check))
                return _outcome(self._commit_planned(op, active, planned, reading), parent)
            link_from = self._earlier(op, selection, stack)
            copy_into(
                op,
                selection,
                trees,
                on,
                active.upper,
                check=cancel.check,
                link_from=link_from,
                owner_view=view,
            )
            return _outcome(self._commit(active, below), parent)

    def _plan(
        self,
        op: CopyOp,
        selection: Selection,
        trees: Mapping[int, Tree],
        parent: int | None,
        active: Active,
        *,
        owner_view: int | None,
    ) -> Plan | None:
        """Return the plan of a copy of many small files, None where there is or need be none."""
        entries = [entry for root in selection.roots for entry in selection.entries(root)]
        if len(entries) < WORTHWHILE or sum(one.size for one in entries) > len(entries) * _SMALL:
            return None
        with failing(op.dest, active.upper):
            planned = plan(
                op,
                selection,
                trees,
                parent,
                owner_view=owner_view,
                clamp=self._clamp,
                now=time.time_ns(),
            )
            if planned is None or not can_own(active.directory, planned.owners):
                return None
        return planned

    def _commit_planned(
        self, op: CopyOp, active: Active, planned: Plan, reading: PlanReading
    ) -> Committed:
        earlier = last_result(self._stores.root, op)
        new = NewItems(planned.items, reading.contents, planned.changed, earlier)
        return self._stores.snapshots.commit_items(
            active,
            new,
            candidates=self._candidates(active.parent),
            clamp=self._clamp,
            watch=self._watch(),
        )

    def _earlier(self, op: CopyOp, selection: Selection, stack: ExitStack) -> LinkFrom | None:
        """Return what finds files to link to in what `op` gave last time, None without any.

        Not when times are clamped: that would change them in the earlier layer, too.
        """
        if self._clamp is not None:
            return None
        if sum(len(selection.entries(root)) for root in selection.roots) < WORTHWHILE:
            return None
        last = last_result(self._stores.root, op)
        if last is None or not self._stores.snapshots.has((last,)):
            return None
        layers = Layers(self._stores.root)
        directory = layers.directory(last)
        if is_in_pieces(directory) and not has_tree(directory, self._stores.root.boot_id):
            # To make its files only to link them costs more than to copy them.
            return None
        return stack.enter_context(EarlierLayer(layers.fs(last))).find

    def make_directory(self, op: MkdirOp, parent: Snapshot | None) -> Outcome:
        """Return what WORKDIR gives. Raises StepError, StoreError."""
        with ExitStack() as stack:
            views = self._stores.snapshots
            view = None
            if parent is not None:
                view = stack.enter_context(view_for(views, parent, of_mkdir(op)))
            active = self._prepared(stack, parent)
            make_directory(op, view, active.upper)
            return _outcome(self._commit(active, parent), parent)

    def fetch(self, op: HttpOp | GitOp, remotes: Remotes, cancel: Cancel) -> Outcome:
        """Return what a download or a repository gives. Raises ContextError, Cancelled."""
        with ExitStack() as stack:
            active = self._prepared(stack, None)
            remotes.write(op, active.upper, cancel.check)
            return _outcome(self._commit(active, None), None)

    def execute(
        self,
        op: ExecOp,
        parent: Snapshot | None,
        origins: Origins,
        reporter: StepReporter,
        cancel: Cancel,
    ) -> Outcome:
        """Return what RUN gives. Raises StepError, Cancelled, StoreError."""
        from buildkit.ops.execute import Setting  # the sandbox, which files alone do not need

        with ExitStack() as stack:
            active = self._prepared(stack, parent)
            setting = Setting(
                root=self._stores.root,
                active=active,
                lowers=() if parent is None else self._stores.snapshots.lowers(parent),
                grants=self._grants,
                origins=origins,
                sandboxes=self._sandboxes,
                looking=self._looking,
            )
            began = time.time_ns()
            try:
                usage = self._executed(op, setting, parent, reporter, cancel)
            except (StepError, Cancelled) as error:
                if isinstance(error, StepError) or cancel.expired:
                    self._salvaged(setting)
                raise
            if owners.are_recorded():
                self._attribute(op, active, parent)
            committed = self._commit(active, parent, since=began)
            return _outcome(committed, parent)._replace(usage=usage)

    def _executed(
        self,
        op: ExecOp,
        setting: Setting,
        parent: Snapshot | None,
        reporter: StepReporter,
        cancel: Cancel,
    ) -> Usage:
        """Run a step on an overlay, or on a copy where the state root can hold no other."""
        if not self._stores.snapshots.copies:
            from buildkit.ops.execute import execute

            return execute(op, setting, reporter, cancel)
        from buildkit.ops.fallback import execute_on_copy

        with ExitStack() as stack:
            view = None
            if parent is not None:
                view = stack.enter_context(self._stores.snapshots.view(parent))
            return execute_on_copy(op, setting, view, reporter, cancel)

    def _attribute(self, op: ExecOp, active: Active, parent: Snapshot | None) -> None:
        """Record whose the files are that a RUN has made."""
        # Only who has a single id pays for the import.
        from buildkit.ops.attribute import attribute

        with ExitStack() as stack, self._looking:
            view = None
            account = Account(0, 0, (0,), "/")
            if parent is not None:
                view = stack.enter_context(self._stores.snapshots.view(parent))
                account = accounts.lookup(view, op.user)
            upper = os.open(active.upper, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            stack.callback(os.close, upper)
            attribute(upper, view, Owner(account.uid, account.gid))

    def _salvaged(self, setting: Setting) -> None:
        """Show what a step that failed has left to who wants to keep some of it."""
        if self._salvage is None:
            return
        upper = setting.active.upper
        if setting.lowers and not self._stores.snapshots.copies:
            fd = mounted_overlay_fd((upper, *setting.lowers))
        else:
            fd = os.open(upper, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._salvage(fd)
        finally:
            os.close(fd)

    def _prepared(self, stack: ExitStack, parent: Snapshot | None) -> Active:
        active = self._stores.snapshots.prepare(parent)
        stack.callback(self._stores.snapshots.discard, active)
        return active

    def _commit(
        self, active: Active, parent: Snapshot | None, since: int | None = None
    ) -> Committed:
        return self._stores.snapshots.commit(
            active,
            candidates=self._candidates(parent),
            clamp=self._clamp,
            watch=self._watch(),
            since=since,
        )

    def _candidates(self, parent: Snapshot | None) -> Candidates:
        chain = "" if parent is None else str(parent.chain)
        return lambda found: self._stores.cache.candidates(chain, found)

    def _watch(self) -> LeakWatch | None:
        return LeakWatch(self._values) if self._values else None


def _outcome(committed: Committed, parent: Snapshot | None) -> Outcome:
    """Return what was committed, as a layer on `parent` (which `--link` did not look at)."""
    return Outcome(
        ref=Snapshot.on(parent, committed.diff_id),
        diff_id=committed.diff_id,
        created=committed.created,
        fingerprint=committed.fingerprint,
        reused=committed.reused,
        listing=_listing(committed.changes),
    )


def _listing(changes: Sequence[Change]) -> bytes:
    """Return changes as the records keep them: a JSON list `[path, kind, size]` a line."""
    # What json.dumps gives, in an eighth of its time; there are as many as files.
    return "".join(f'[{quoted(path)}, "{kind}", {size}]\n' for path, kind, size in changes).encode(
        "ascii"
    )
