"""No progress at all: what is left is the result on standard output and errors."""

from __future__ import annotations

from buildkit.progress.display import Display

TYPE_CHECKING = False
if TYPE_CHECKING:
    from buildkit.progress.events import Event


class QuietDisplay(Display):
    """Shows nothing."""

    def emit(self, event: Event) -> None:
        """Drop `event`."""

    def close(self) -> None:
        """Do nothing."""
