"""Adding vertices: steps, and the sources that steps take files from.

In: ops, and names that were resolved to an `Origin`. Out: names of vertices in the graph that is
being made. Sources are added when something first needs them.
"""

from __future__ import annotations

import re

from buildkit.errors import DefinitionError
from buildkit.frontend.bases import (
    BaseRequest,
    Bases,
    FromContext,
    FromImage,
    FromScratch,
    FromStage,
    Origin,
)
from buildkit.frontend.remote import git_op, http_op
from buildkit.llb.graph import Graph, Vertex, vertex_id
from buildkit.llb.op import ContextOp, CopyOp, CopySource, GitOp, HttpOp, ImageOp, Op
from buildkit.llb.wishes import NO_WISHES, Wishes
from grammar.errors import FlagError, quote
from grammar.values import parse_bool
from runtime.typed import assert_never
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from buildkit.frontend.options import LowerOptions, NamedContext
    from buildkit.oci.config import ResolvedImage

MAIN_CONTEXT = "context"
_WILDCARD = r"([*?\[\\])"


class Place(NamedTuple):
    """Where in the Dockerfile a vertex comes from, and what a comment there wants of it."""

    lines: tuple[int, int] | None
    stage: str
    wishes: Wishes = NO_WISHES


class Source(NamedTuple):
    """A file system to take files from; `keeps_owners`: its files belong to whom they belong."""

    vertex: str | None
    keeps_owners: bool


class Inputs:
    """The inputs of one vertex, each once; the first is given."""

    def __init__(self, first: str | None) -> None:
        self._numbers: dict[str | None, int] = {}
        self._names: list[str | None] = [first]

    def number(self, vertex: str | None) -> int:
        """Return the number of the input `vertex`, which becomes one if it is not."""
        known = self._numbers.get(vertex)
        if known is None:
            known = self._numbers[vertex] = len(self._names)
            self._names.append(vertex)
        return known

    def names(self) -> tuple[str | None, ...]:
        """Return all inputs in order."""
        return tuple(self._names)


class Origins:
    """The graph while it grows. `stages` has the file system of each stage that is done."""

    def __init__(self, bases: Bases, options: LowerOptions) -> None:
        self.graph = Graph()
        self.stages: dict[int, str | None] = {}
        self._bases = bases
        self._keeps_git = options.build_args.get("BUILDKIT_CONTEXT_KEEP_GIT_DIR", "0")
        self._steps = 0

    def step(self, op: Op, inputs: tuple[str | None, ...], label: str, place: Place) -> str:
        """Add a vertex that the user sees as the step `label`; return its name."""
        return self._add(op, inputs, label, place, number=self._steps + 1)

    def source(self, op: Op, label: str, place: Place) -> str:
        """Add a vertex without inputs that is no step; return its name."""
        return self._add(op, (), label, place, number=0)

    def _add(
        self, op: Op, inputs: tuple[str | None, ...], label: str, place: Place, number: int
    ) -> str:
        wishes = place.wishes if number else NO_WISHES
        name = vertex_id(op, inputs, wishes)
        if name not in self.graph:
            self.graph.add(
                Vertex(
                    id=name,
                    op=op,
                    inputs=inputs,
                    label=label,
                    lines=place.lines,
                    stage=place.stage,
                    number=number,
                    wishes=wishes,
                )
            )
            self._steps = max(self._steps, number)
        return name

    def main_context(self) -> Source:
        """Return the build context."""
        op = ContextOp(MAIN_CONTEXT)
        vertex = self.source(op, "[internal] load build context", Place(None, ""))
        return Source(vertex, keeps_owners=False)

    def of(self, origin: Origin, place: Place) -> Source:
        """Return what `--from` names; images and contexts become vertices."""
        match origin:
            case FromScratch():
                return Source(None, keeps_owners=True)
            case FromStage():
                return Source(self.stages[origin.number], keeps_owners=True)
            case FromImage():
                image = self._bases[origin.request]
                label = f"FROM {image.reference}"
                return Source(self.image(origin.request, image, label, place), keeps_owners=True)
            case FromContext():
                return Source(self._context(origin, place), keeps_owners=False)
            case _:
                assert_never(origin)

    def image(
        self, request: BaseRequest, image: ResolvedImage, label: str, place: Place
    ) -> str | None:
        """Add an image; one without layers is scratch."""
        if not image.config.diff_ids:
            return None
        op = ImageOp(
            reference=image.reference,
            config=image.config_digest,
            diff_ids=image.config.diff_ids,
            platform=str(request.platform),
        )
        return self.step(op, (), label, place)

    def resolved(self, request: BaseRequest) -> ResolvedImage:
        """Return the image that was found for `request`."""
        return self._bases[request]

    def _context(self, origin: FromContext, place: Place) -> str:
        """Add a named context; of a download that is an archive, its files are the context."""
        label = f"[context {origin.name}] load build context"
        op = context_op(origin.name, origin.context, keeps_git=self._keeps_git)
        source = self.source(op, label, place)
        if not isinstance(op, HttpOp):
            return source
        copy = whole_tree()._replace(sources=(download_source(1, op),), unpack="always")
        return self._add(copy, (None, source), label, place, number=0)


def download_source(origin: int, download: HttpOp) -> CopySource:
    """Return the file that `download`, input `origin`, brings."""
    return CopySource(origin, "/" + re.sub(_WILDCARD, r"\\\1", download.filename))


def whole_tree() -> CopyOp:
    """Return the copy of all files of input 1 onto an empty file system."""
    return CopyOp(
        sources=(CopySource(1, "/"),),
        dest="/",
        chown="",
        chmod="",
        exclude=(),
        parents=False,
        link=False,
        unpack="never",
        keep_owner=False,
    )


def context_op(
    name: str, context: NamedContext, *, keeps_git: str = "0"
) -> ContextOp | HttpOp | GitOp:
    """Return the op that gives a named context; `keeps_git` is a boolean as Go writes it.

    Raises DefinitionError.
    """
    try:
        match context.kind:
            case "local":
                return ContextOp(name)
            case "http":
                return http_op(context.value, "")
            case "git":
                address = context.value
                if address.startswith("github.com/"):
                    address = f"https://{address}"
                return git_op(address, "", keep_git_dir=parse_bool(keeps_git))
            case "image":
                raise TypeError("an image is no context op")
            case _:
                assert_never(context.kind)
    except FlagError as error:
        raise DefinitionError(
            f"build context {quote(name)}: {error.message}", hint=error.hint or ""
        ) from error
