"""RUN where the kernel can mount no overlay to write in: on a copy of the tree below.

In: what `execute` takes, and the parent's tree. Out: the same, with the same upper as from an
overlay, so that layers and keys do not tell which it was. Imported only where it is needed.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import ExitStack

from buildkit.cache.result import Usage
from buildkit.errors import disk_error
from buildkit.llb.op import ExecOp
from buildkit.ops.execute import Setting, execute
from buildkit.progress.cancel import Cancel
from buildkit.progress.reporter import StepReporter
from buildkit.snapshot.copied import fill, fold

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def execute_on_copy(
    op: ExecOp,
    setting: Setting,
    view: int | None,
    reporter: StepReporter,
    cancel: Cancel,
) -> Usage:
    """Run `op` on a copy of the tree `view`. Raises StepError, Cancelled, StoreError."""
    setting = setting._replace(copied=True)
    if view is None:
        return execute(op, setting, reporter, cancel)
    with ExitStack() as stack:
        upper = os.open(setting.active.upper, _DIRECTORY)
        stack.callback(os.close, upper)
        # The view is O_PATH: good to go down from, not to read.
        lower = os.open(".", _DIRECTORY, dir_fd=view)
        stack.callback(os.close, lower)
        with setting.looking, _disk(setting.active.upper):
            filled = fill(lower, upper, cancel.check)
        usage = execute(op, setting, reporter, cancel)
        with setting.looking, _disk(setting.active.upper):
            fold(lower, upper, filled)
        return usage


@contextlib.contextmanager
def _disk(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise disk_error(error, path) from error
