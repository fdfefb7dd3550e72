"""What every way of showing progress promises. `buildkit/progress/table.py` names them all."""

from __future__ import annotations

from runtime.typed import Protocol

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self, TextIO

    from buildkit.progress.events import Event


class Display(Protocol):
    """Shows events on a stream.

    `emit` may be called from any thread, returns quickly and never raises: a stream that nobody
    reads any more mutes the display. `close` shows what was held back, and no event comes after
    it; a display is a context manager that closes.
    """

    def emit(self, event: Event) -> None:
        """Show `event`, at once or soon."""
        ...

    def close(self) -> None:
        """Show the rest and give threads and screen back. May be called twice."""
        ...

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Output:
    """A text stream that may go away: after the first failure what is written is dropped."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._gone = False

    def write(self, text: str) -> None:
        """Write and flush `text`."""
        if self._gone or not text:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):  # ValueError: closed
            self._gone = True
