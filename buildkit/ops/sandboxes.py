"""What the steps of a build run in: one zygote and one network, made at the first RUN that asks.

In: specs. Out: running steps. A build that runs nothing makes neither; both end with the build.
"""

from __future__ import annotations

import os
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.network import Namespace
    from runtime.sandbox import Step, Zygote
    from runtime.spec import SandboxSpec


class Sandboxes:
    """Starts sandboxes from any thread. `close` it, then `disconnect`, when the build is over."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._zygote: Zygote | None = None
        self._spawned: tuple[int, int] | None = None
        """A zygote that is not ours to use yet (`runtime/spawning.py`)."""
        self._network: Namespace | None = None
        self._closed = False

    def prepare(self) -> None:
        """Have a zygote start, for a sandbox that will soon be wanted. Raises OSError."""
        with self._lock:
            if self._zygote is None and self._spawned is None and not self._closed:
                from runtime import spawning  # for builds that run something

                self._spawned = spawning.spawn()

    def begin(self, spec: SandboxSpec, *, stdout: int) -> Step:
        """Start a sandbox that writes to `stdout`. Raises RuntimeError after `close`."""
        with self._lock:
            if self._closed:
                raise RuntimeError("the build is over")
            if self._zygote is None:
                from runtime import delegation, spawning  # for builds that run something
                from runtime.sandbox import Zygote

                # One that was spawned goes along; it looks at its groups when it makes the first.
                delegation.make_room(spec.resources)
                # It starts by itself while the network is being made.
                spawned, self._spawned = self._spawned or spawning.spawn(), None
                self._zygote = Zygote.of(*spawned)
            zygote = self._zygote
            if spec.network == "default":
                if self._network is None:
                    from runtime import network  # likewise

                    self._network = network.create()
                spec = self._network.joined(spec)
            if spec.extra_hosts:
                from runtime.gateway import with_gateway  # `socket`, 6 ms

                spec = with_gateway(spec, self._network)
        return zygote.begin(spec, stdout=stdout)

    @property
    def connected(self) -> bool:
        """Whether there is a network to disconnect from."""
        return self._network is not None

    def no_way_out(self) -> str:
        """Return why steps cannot reach the network, empty when they can or never asked."""
        return "" if self._network is None else self._network.reason

    def close(self) -> None:
        """Kill what still runs and end the zygote. May be called twice."""
        with self._lock:
            self._closed = True
            zygote, self._zygote = self._zygote, None
            spawned, self._spawned = self._spawned, None
        if zygote is not None:
            zygote.close()
        if spawned is not None:
            control, pid = spawned
            os.close(control)
            os.waitpid(pid, 0)

    def disconnect(self) -> None:
        """Take the network down, which takes the kernel 50 ms; after `close`."""
        with self._lock:
            namespace, self._network = self._network, None
        if namespace is not None:
            namespace.close()
