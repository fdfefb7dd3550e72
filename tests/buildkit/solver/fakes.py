"""A graph from a table, operations that only remember, and a cache in memory."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from buildkit.cache.key import CacheKey
from buildkit.cache.result import ContextRef, Identity, InputIdentity, Outcome, Ref
from buildkit.cache.store import CachedStep
from buildkit.llb.graph import Graph, Vertex, vertex_id
from buildkit.llb.op import ContextOp, CopyOp, CopySource, ExecOp, ImageOp, Op
from buildkit.llb.wishes import NO_WISHES, Wishes
from buildkit.oci.digest import Digest, Fingerprint
from buildkit.progress.cancel import Cancel
from buildkit.progress.events import Event, StepFailed, StepLog
from buildkit.progress.reporter import StepReporter
from buildkit.snapshot.snapshot import Snapshot

BASE = Digest.of(b"base layer")
CREATED = "2026-01-02T03:04:05Z"


def image(reference: str = "debian:12", config: bytes = b"config") -> ImageOp:
    return ImageOp(
        reference=reference, config=Digest.of(config), diff_ids=(BASE,), platform="linux/amd64"
    )


def execute(command: str) -> ExecOp:
    return ExecOp(
        args=("/bin/sh", "-c", command),
        env=(),
        cwd="/",
        user="",
        network="default",
        security="sandbox",
        mounts=(),
        platform="linux/amd64",
        hostname="build",
    )


def copy(path: str, *, link: bool = False, chown: str = "") -> CopyOp:
    return CopyOp(
        sources=(CopySource(origin=1, path=path),),
        dest="/",
        chown=chown,
        chmod="",
        exclude=(),
        parents=False,
        link=link,
        unpack="never",
        keep_owner=False,
    )


class Plan:
    """A graph under construction: each call adds a vertex and returns its name."""

    def __init__(self, stage: str = "build") -> None:
        self.graph = Graph()
        self.stage = stage
        self._number = 0

    def add(
        self,
        op: Op,
        *inputs: str | None,
        stage: str = "",
        hidden: bool = False,
        wishes: Wishes = NO_WISHES,
    ) -> str:
        if not hidden:
            self._number += 1
        label = op.args[-1] if isinstance(op, ExecOp) else type(op).__name__
        vertex = Vertex(
            id=vertex_id(op, inputs, wishes),
            op=op,
            inputs=inputs,
            label=f"[{stage or self.stage} {self._number}/9] {label}",
            lines=(self._number, self._number),
            stage=stage or self.stage,
            number=0 if hidden else self._number,
            wishes=wishes,
        )
        return self.graph.add(vertex).id

    def base(self, op: ImageOp | None = None) -> str:
        return self.add(op or image(), None)

    def run(self, parent: str | None, command: str, *origins: str, stage: str = "") -> str:
        return self.add(execute(command), parent, *origins, stage=stage)

    def copy(
        self, parent: str | None, origin: str, path: str, *, link: bool = False, chown: str = ""
    ) -> str:
        return self.add(copy(path, link=link, chown=chown), parent, origin)

    def context(self) -> str:
        return self.add(ContextOp("context"), hidden=True)


def chain(length: int) -> tuple[Graph, str]:
    plan = Plan()
    name = plan.base()
    for number in range(length):
        name = plan.run(name, f"command {number}")
    return plan.graph, name


class FakeOps:
    """A RUN gives the layer that its command and parent name; a COPY what `files` holds.

    `scripts` replaces what a command does; `results` the content that it gives. What was run is in
    `ran`, in order of starting; `threads` are those that ran it.
    """

    def __init__(self, files: Mapping[str, str] | None = None) -> None:
        self.files = dict(files or {})
        self.scripts: dict[str, Callable[[StepReporter, Cancel], None]] = {}
        self.results: dict[str, str] = {}
        self.gone: set[Digest] = set()
        self.ran: list[str] = []
        self.identified: list[str] = []
        self.threads: set[int] = set()
        self.expecting: list[tuple[str, ...]] = []
        """What had run by the time that sandboxes were expected."""

    def identify(self, vertex: Vertex, inputs: Sequence[Ref | None]) -> Identity:
        self.identified.append(name_of(vertex))
        op = vertex.op
        if isinstance(op, ContextOp):
            return Identity(inputs=(), known=ContextRef(op.name))
        if isinstance(op, ImageOp):
            return Identity(inputs=(None,), known=Snapshot.of(op.diff_ids))
        parent = inputs[0].chain if isinstance(inputs[0], Snapshot) else None
        if not isinstance(op, CopyOp):
            others = (one.chain for one in inputs[1:] if isinstance(one, Snapshot))
            return Identity(inputs=(parent, *others))
        manifest = self.files[paths(op)].encode()
        digest = str(Digest.of(manifest))
        selected: tuple[InputIdentity, ...] = (None if op.link else parent, digest)
        return Identity(inputs=selected, manifests={digest: lambda: manifest})

    def reuse(self, vertex: Vertex, inputs: Sequence[Ref | None], record: CachedStep) -> Ref | None:
        return None if record.diff_id in self.gone else on(inputs[0], record.diff_id)

    def expect_sandboxes(self) -> None:
        self.expecting.append(tuple(self.ran))

    def run(
        self,
        vertex: Vertex,
        inputs: Sequence[Ref | None],
        identity: Identity,
        reporter: StepReporter,
        cancel: Cancel,
    ) -> Outcome:
        name = name_of(vertex)
        self.ran.append(name)
        self.threads.add(threading.get_ident())
        if name in self.scripts:
            self.scripts[name](reporter, cancel)
        op = vertex.op
        content = self.files[paths(op)] if isinstance(op, CopyOp) else self.results.get(name, name)
        diff_id = Digest.of(content.encode())
        self.gone.discard(diff_id)
        return Outcome(
            ref=on(inputs[0], diff_id),
            diff_id=diff_id,
            created=CREATED,
            fingerprint=Fingerprint("ff"),
        )


def on(parent: Ref | None, diff_id: Digest) -> Snapshot:
    assert not isinstance(parent, ContextRef)
    return Snapshot.on(parent, diff_id)


def paths(op: CopyOp) -> str:
    return " ".join(one.path for one in op.sources if isinstance(one, CopySource))


def name_of(vertex: Vertex) -> str:
    op = vertex.op
    return op.args[-1] if isinstance(op, ExecOp) else vertex.label.partition("] ")[2]


class MemoryCache:
    """Implements CacheStore. `others` is called when a claim is waited for."""

    def __init__(self) -> None:
        self.steps: dict[CacheKey, CachedStep] = {}
        self.manifests: dict[str, bytes] = {}
        self.touched: list[CacheKey] = []
        self.others: Callable[[CacheKey], None] = lambda _: None

    def find(self, key: CacheKey) -> CachedStep | None:
        return self.steps.get(key)

    def save(self, step: CachedStep, manifests: Mapping[str, bytes]) -> None:
        self.steps[step.key] = step
        self.manifests.update(manifests)

    def touch(self, keys: Iterable[CacheKey]) -> None:
        self.touched += keys

    def candidates(self, parent: str, fingerprint: Fingerprint) -> Sequence[tuple[Digest, str]]:
        return []

    @contextmanager
    def claim(self, key: CacheKey, cancel: Cancel) -> Iterator[None]:
        self.others(key)
        yield

    def document(self, key: CacheKey) -> str | None:
        return self.steps[key].document if key in self.steps else None

    def manifest(self, digest: str) -> bytes | None:
        return self.manifests.get(digest)


class Events:
    """Collects events; `tell` gives them as short lines, without times and logs."""

    def __init__(self) -> None:
        self.all: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.all.append(event)

    def tell(self) -> list[str]:
        lines = []
        for event in self.all:
            if isinstance(event, StepLog):
                continue
            number = getattr(event, "number", "")
            extra = getattr(event, "why", "") or getattr(event, "note", "")
            if isinstance(event, StepFailed):
                extra = "cancelled" if event.cancelled else event.message
            lines.append(f"#{number} {type(event).__name__} {extra}".rstrip())
        return lines
