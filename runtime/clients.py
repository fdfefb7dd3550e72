"""Commands that are connected to a monitor, and what is on its way to them.

In: messages. Out: the same, as fast as each of them takes them; nothing waits for a slow one but
the output of the container, which is not read on while too much is on its way.
"""

from __future__ import annotations

from collections import deque

from runtime.loop import READ, WRITE, Loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.control import Connection, Message

_MOST = 1 << 20


class Client:
    """A command that is connected."""

    def __init__(self, connection: Connection, loop: Loop) -> None:
        self.connection = connection
        self.attached = False
        self.feeds = False
        """Whether what it sends is the input of the container."""
        self.waits: str | None = None
        """What it waits for: "" for the end, or a health."""
        self.stopping = False
        self.again = False
        """Whether it is to be started again then."""
        self.left = False
        """Whether it said that it goes."""
        self._loop = loop
        self._on_its_way: deque[Message] = deque()
        self._size = 0

    @property
    def is_full(self) -> bool:
        """Whether too much is on its way."""
        return self._size > _MOST

    @property
    def is_served(self) -> bool:
        """Whether nothing is on its way."""
        return not self._on_its_way

    def tell(self, message: Message) -> None:
        """Send a message, at the latest when there is room."""
        if not self._on_its_way:
            try:
                self.connection.send(message, wait=False)
            except BlockingIOError:
                self._loop.widen(self.connection.fileno(), READ | WRITE)
            else:
                return
        self._on_its_way.append(message)
        self._size += len(getattr(message, "data", b""))

    def go_on(self) -> None:
        """Send more of what is on its way."""
        while self._on_its_way:
            message = self._on_its_way[0]
            try:
                self.connection.send(message, wait=False)
            except BlockingIOError:
                return
            self._on_its_way.popleft()
            self._size -= len(getattr(message, "data", b""))
        self._loop.widen(self.connection.fileno(), READ)

    def give_up(self) -> None:
        """Forget what is on its way: nobody is there."""
        self._on_its_way.clear()
        self._size = 0
