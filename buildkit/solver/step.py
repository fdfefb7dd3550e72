"""One vertex: looking it up, and making it when it is not there.

In: a vertex and the results of its inputs. Out: `Hit`, `Miss`, `Made` or `Broken`, values that the
solver acts on. `look` and `make` may run in any thread.
"""

from __future__ import annotations

import os
import time

from buildkit.cache.key import CacheKey, cache_key, key_document
from buildkit.cache.store import CachedStep, CacheStore
from buildkit.errors import BuildError, Cancelled, StepError
from buildkit.llb.op import CopyOp
from buildkit.progress.events import Emit, Event, StepDone, StepMissed
from buildkit.progress.reporter import StepReporter
from buildkit.snapshot.snapshot import Snapshot
from buildkit.solver.causes import FIRST_BUILD, Causes
from buildkit.solver.policy import CachePolicy, outdated
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import TypeAlias

    from buildkit.cache.result import Identity, Outcome, Ref
    from buildkit.llb.graph import Vertex
    from buildkit.progress.cancel import Cancel
    from buildkit.solver.ops import Ops


SAME_CONTENT = "same content as before"

Inputs: TypeAlias = "Sequence[Ref | None]"


class StepLogs(NamedTuple):
    """Where full logs go: files `PREFIX-NUMBER.log` in `directory` (absolute, empty: nowhere)."""

    directory: str = ""
    prefix: str = ""


class Hit(NamedTuple):
    """The result is there. `record` is None when it needed no record (`Identity.known`)."""

    ref: Ref
    key: CacheKey
    document: str
    record: CachedStep | None


class Miss(NamedTuple):
    """The result has to be made. `refusal`: what forbids the cache, mostly empty."""

    vertex: Vertex
    inputs: Inputs
    identity: Identity
    key: CacheKey
    document: str
    refusal: str


class Run(NamedTuple):
    """How a run went, however it ended; the fields are those of `StepRecord`."""

    key: CacheKey
    document: str
    why: tuple[str, ...]
    started: float
    seconds: float
    log: str


class Made(NamedTuple):
    """The result was made; `saved`: the cache has a record of it."""

    run: Run
    outcome: Outcome
    saved: bool


class Broken(NamedTuple):
    """No result. `by_itself`: it failed before anybody asked it to stop."""

    error: BaseException
    by_itself: bool
    run: Run | None = None


End: TypeAlias = Hit | Miss | Made | Broken


class Step:
    """Looks up and makes vertices of one solve."""

    def __init__(
        self,
        ops: Ops,
        cache: CacheStore,
        emit: Emit,
        cancel: Cancel,
        policy: CachePolicy,
        causes: Causes,
        logs: StepLogs,
    ) -> None:
        self._ops = ops
        self._cache = cache
        self._emit = emit
        self.policy = policy
        self._logs = logs
        self.causes = causes
        self.cancel = cancel
        self.documents: dict[str, str] = {}
        """Key documents by vertex, as far as they are known."""
        self.made: set[CacheKey] = set()
        """What this solve made itself: never refused."""

    def say(self, vertex: Vertex, event: Event) -> None:
        """Pass `event` on if `vertex` is a step that the user sees."""
        if vertex.number:
            self._emit(event)

    def touch(self, keys: Sequence[CacheKey]) -> None:
        """Note that the records of `keys` were used."""
        self._cache.touch(keys)

    def expect_sandboxes(self) -> None:
        """Get ready for the first step that runs something."""
        self._ops.expect_sandboxes()

    def look(self, vertex: Vertex, inputs: Inputs) -> End:
        """Find the result of `vertex`."""
        try:
            identity = self._ops.identify(vertex, inputs)
            document = key_document(vertex.op, identity.inputs, identity.parts)
            key = cache_key(document)
            self.documents[vertex.id] = document
            if identity.known is not None:
                return Hit(identity.known, key, document, None)
            refusal = "" if key in self.made else self.policy.refusal(vertex)
            hit = None if refusal else self._find(vertex, inputs, key)
            if hit is not None and hit.record is not None:
                refusal = self.policy.too_young(hit.record)
                if vertex.wishes.ttl and not refusal:
                    refusal = outdated(vertex, hit.record, time.time())
                hit = None if refusal else hit
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the end of this step
            return Broken(_placed(error, vertex), by_itself=not self.cancel.is_set())
        return hit or Miss(vertex, inputs, identity, key, document, refusal)

    def make(self, miss: Miss) -> End:
        """Make what is missing; or take it from another process that has just made it."""
        try:
            with self._cache.claim(miss.key, self.cancel):
                # Between the look and the claim somebody may have made it.
                if not miss.refusal:
                    hit = self._find(miss.vertex, miss.inputs, miss.key)
                    if hit is not None:
                        return hit
                return self._run(miss)
        except Exception as error:  # noqa: BLE001 - as in look
            return Broken(_placed(error, miss.vertex), by_itself=not self.cancel.is_set())

    def _find(self, vertex: Vertex, inputs: Inputs, key: CacheKey) -> Hit | None:
        record = self._cache.find(key)
        if record is None:
            return None
        ref = self._ops.reuse(vertex, inputs, record)
        return None if ref is None else Hit(ref, key, record.document, record)

    def _run(self, miss: Miss) -> Made | Broken:
        vertex = miss.vertex
        manifests = {name: read() for name, read in miss.identity.manifests.items()}
        why = self.why(miss, manifests)
        # That everything is new needs no telling, once a step.
        told = "" if why == (FIRST_BUILD,) else ", ".join(why)
        self.say(vertex, StepMissed(vertex.number, vertex.label, told))
        log = f"{self._logs.prefix}-{vertex.number}.log" if self._logs.directory else ""
        path = os.path.join(self._logs.directory, log) if log else ""
        started, clock = time.time(), time.monotonic()
        with StepReporter(self._emit, vertex.number, path) as reporter:

            def run_so_far() -> Run:
                return Run(
                    key=miss.key,
                    document=miss.document,
                    why=why,
                    started=started,
                    seconds=time.monotonic() - clock,
                    log=log if reporter.logged else "",
                )

            try:
                outcome = self._tried(miss, reporter)
                run = run_so_far()
                saved = self._save(miss, outcome, run, manifests)
            except Exception as error:  # noqa: BLE001 - as in look
                by_itself = not self.cancel.is_set()
                return Broken(_placed(error, vertex, reporter.tail()), by_itself, run_so_far())
        note = note_of(outcome)
        self.say(vertex, StepDone(vertex.number, vertex.label, run.seconds, note))
        return Made(run, outcome, saved)

    def _tried(self, miss: Miss, reporter: StepReporter) -> Outcome:
        """Run what is missing, again after a failure as often as its `retry` says."""
        retry = miss.vertex.wishes.retry
        for attempt in range(1, retry + 1):
            try:
                return self._timed(miss, reporter)
            except StepError as error:
                self.cancel.check()
                again = f"trying again ({attempt} of {retry})"
                reporter.warn(f"{miss.vertex.label}: {error.message}; {again}")
        return self._timed(miss, reporter)

    def _timed(self, miss: Miss, reporter: StepReporter) -> Outcome:
        """Run what is missing, for as long as its `timeout` allows."""
        seconds = miss.vertex.wishes.timeout
        arguments = (miss.vertex, miss.inputs, miss.identity, reporter)
        if not seconds:
            return self._ops.run(*arguments, self.cancel)
        # Threads and patterns: for the few steps that have a limit.
        from buildkit.durations import duration_text
        from buildkit.progress.deadline import deadline

        with deadline(self.cancel, seconds) as cancel:
            try:
                return self._ops.run(*arguments, cancel)
            except Cancelled as error:
                self.cancel.check()
                raise StepError(f"timed out after {duration_text(seconds)}") from error

    def why(self, miss: Miss, manifests: Mapping[str, bytes]) -> tuple[str, ...]:
        """Return why `miss` is one; `manifests` are those of its identity."""
        if miss.refusal:
            return (miss.refusal,)
        return self.causes.why(miss.vertex, self.documents, miss.key, manifests)

    def _save(self, miss: Miss, outcome: Outcome, run: Run, manifests: Mapping[str, bytes]) -> bool:
        """Remember what was made; False when there is no layer to remember."""
        if outcome.diff_id is None:
            return False
        linked = isinstance(miss.vertex.op, CopyOp) and miss.vertex.op.link
        parent = miss.inputs[0] if miss.inputs and not linked else None
        listing = {str(outcome.diff_id): outcome.listing} if outcome.listing else {}
        record = CachedStep(
            key=miss.key,
            document=miss.document,
            parent=parent.chain if isinstance(parent, Snapshot) else "",
            diff_id=outcome.diff_id,
            fingerprint=outcome.fingerprint,
            created=outcome.created,
            seconds=run.seconds,
            usage=outcome.usage,
            log=run.log,
            made=run.started,
        )
        self._cache.save(record, {**manifests, **listing})
        return True


def note_of(outcome: Outcome) -> str:
    """Return what there is to say of a step that ran."""
    return outcome.note or (SAME_CONTENT if outcome.reused else "")


def _placed(error: BaseException, vertex: Vertex, tail: tuple[str, ...] = ()) -> BaseException:
    """Fill in which step failed, its place, and the end of its log, where they are missing.

    What `runtime` cannot do is a failure of the step: its errors know no place.
    """
    if type(error).__module__ == "runtime.errors":  # told without loading them
        told = StepError(str(error), hint=getattr(error, "hint", ""))
        told.__cause__ = error
        error = told
    if isinstance(error, BuildError) and not isinstance(error, Cancelled):
        error.lines = error.lines or vertex.lines
    if isinstance(error, StepError):
        error.step = error.step or vertex.label
        error.log = error.log or tail
    return error
