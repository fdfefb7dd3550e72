"""What the solver asks of the operations. `buildkit/ops/table.py` fulfils it; tests have fakes."""

from __future__ import annotations

from runtime.typed import Protocol

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from buildkit.cache.result import Identity, Outcome, Ref
    from buildkit.cache.store import CachedStep
    from buildkit.llb.graph import Vertex
    from buildkit.progress.cancel import Cancel
    from buildkit.progress.reporter import StepReporter


class Ops(Protocol):
    """Identify, reuse and run a vertex.

    `inputs` stand in the order of `Vertex.inputs`; None is the empty file system (scratch). All
    three may be called from several threads at once, never twice at once for one vertex. Errors
    are `BuildError`s; anything else is a fault of pybuild and ends the build as such.
    """

    def identify(self, vertex: Vertex, inputs: Sequence[Ref | None]) -> Identity:
        """Return what the result of `vertex` depends on.

        May read (what a COPY selects, a remote's refs), may take long, changes nothing but caches.
        Called before the cache is asked, also for vertices that turn out to be cached.
        """
        ...

    def reuse(self, vertex: Vertex, inputs: Sequence[Ref | None], record: CachedStep) -> Ref | None:
        """Return the result that `record` remembers, or None when its layer is gone: a miss.

        What is returned must stay: it is marked as in use before it is looked for (R5).
        """
        ...

    def expect_sandboxes(self) -> None:
        """Get ready for the first vertex that runs something: one will probably be carried out.

        Called once at most, by the thread that solves, before that of any `run`. Raises nothing.
        """
        ...

    def run(
        self,
        vertex: Vertex,
        inputs: Sequence[Ref | None],
        identity: Identity,
        reporter: StepReporter,
        cancel: Cancel,
    ) -> Outcome:
        """Carry `vertex` out and return what it gave. Called from a worker thread.

        Output goes to `reporter`. Ends promptly (a second, say) when `cancel` is set, by raising
        `Cancelled`. A step that fails raises `StepError`; its `step`, `lines` and `log` are filled
        in by the solver where they are empty. Leaves nothing behind when it raises.
        """
        ...
