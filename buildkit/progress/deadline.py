"""A limit of time for what can be cancelled.

In: a `Cancel` and seconds. Out: a `Cancel` of its own for one piece of work, set when the other is,
or when the time is over. A thread watches; without a limit there is none.
"""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from buildkit.progress.cancel import Cancel


@contextmanager
def deadline(cancel: Cancel, seconds: float) -> Iterator[Cancel]:
    """Give what work that may take `seconds` (0: any time) has to heed besides itself."""
    if not seconds:
        yield cancel
        return
    over = os.eventfd(0, os.EFD_CLOEXEC)
    with Cancel() as inner:

        def watch() -> None:
            poll = select.poll()
            poll.register(cancel.fileno(), select.POLLIN)
            poll.register(over, select.POLLIN)
            ready = {fd for fd, _ in poll.poll(seconds * 1000)}
            if over not in ready:
                inner.expired = not ready
                inner.set(cancel.signal)

        watcher = threading.Thread(target=watch, name="pybuild-deadline", daemon=True)
        watcher.start()
        try:
            yield inner
        finally:
            os.eventfd_write(over, 1)
            watcher.join()
            os.close(over)
