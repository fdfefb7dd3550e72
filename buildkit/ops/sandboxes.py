"""The zygote of a build: started at the first RUN, shared by all, ended with the build."""

import threading

from runtime.sandbox import Zygote


class Sandboxes:
    """Gives the zygote to any thread; a build that runs nothing never starts one."""

    def __init__(self) -> None:
        self._zygote: Zygote | None = None
        self._lock = threading.Lock()
        self._closed = False

    def zygote(self) -> Zygote:
        """Return the zygote. Raises RuntimeError after `close`."""
        with self._lock:
            if self._closed:
                raise RuntimeError("the build is over")
            if self._zygote is None:
                self._zygote = Zygote.start()
            return self._zygote

    def close(self) -> None:
        """Kill what still runs and end the zygote. May be called twice."""
        with self._lock:
            self._closed = True
            zygote, self._zygote = self._zygote, None
        if zygote is not None:
            zygote.close()
