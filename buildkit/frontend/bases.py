"""Names that stand for a file system: stages, named contexts, images.

In: a name from FROM, `--from` or a mount's `from`. Out: what it means, as a value. Images are asked
for by `BaseRequest`; whoever resolves them hands back `ResolvedImage` values.
Document: docs/dockerfile.md, chapters 8 (FROM) and 9.1.
"""

from __future__ import annotations

from buildkit.errors import DefinitionError
from buildkit.frontend.expander import lines_of
from buildkit.oci.reference import Reference
from grammar.errors import quote
from grammar.nearest import did_you_mean
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TypeAlias

    from buildkit.frontend.options import LowerOptions, NamedContext
    from buildkit.oci.config import ResolvedImage
    from buildkit.oci.platforms import Platform
    from grammar.source import Span


SCRATCH = "scratch"

_COMMON_IMAGES = ("alpine", "busybox", "centos", "debian", "golang", "ubuntu", "fedora")


class BaseRequest(NamedTuple):
    """An image that the build needs: `reference` is canonical, or `oci-layout://…`."""

    reference: str
    platform: Platform


Bases: TypeAlias = "Mapping[BaseRequest, ResolvedImage]"


class BaseUse(NamedTuple):
    """Where an image is asked for first, and what to suggest when there is none.

    `written` is its name there, `known` what could have been meant instead. To look for a near
    miss takes as long as there are names, so it is left until the image turns out to be missing.
    """

    lines: tuple[int, int]
    written: str = ""
    known: tuple[str, ...] = ()

    @property
    def hint(self) -> str:
        """What to suggest, empty for nothing."""
        return did_you_mean(self.written, self.known).strip(" ()")


class NeedsBases(NamedTuple):
    """The images that are still to be resolved before the Dockerfile can be lowered."""

    requests: Mapping[BaseRequest, BaseUse]


class FromScratch(NamedTuple):
    """The empty file system."""


class FromStage(NamedTuple):
    """The result of stage `number`."""

    number: int


class FromContext(NamedTuple):
    """A named context that is no image; `name` is as on the command line."""

    name: str
    context: NamedContext


class FromImage(NamedTuple):
    """An image."""

    request: BaseRequest


Origin: TypeAlias = FromScratch | FromStage | FromContext | FromImage


class Names:
    """All names of one build: its stages by name and number, and the contexts by name.

    While the stages are being planned, only the earlier ones are here.
    """

    def __init__(self, options: LowerOptions, stages: int) -> None:
        self._contexts = {_context_key(name): name for name in options.contexts}
        self._options = options
        self._by_name: dict[str, int] = {}
        self._suggested: tuple[str, ...] = ()
        self._stages = stages

    def add(self, name: str, number: int) -> None:
        """Let `name` mean stage `number` from here on."""
        self._by_name[name.lower()] = number

    def stage(self, name: str) -> int | None:
        """Return the number of the stage called `name`, None if there is none."""
        return self._by_name.get(name.lower())

    def numbered(self, text: str) -> int | None:
        """Return the stage number that `text` is, None if it is no number at all.

        Raises ValueError when there is no such stage.
        """
        digits = text[1:] if text[:1] in ("+", "-") else text
        if not (digits.isascii() and digits.isdecimal()):
            return None
        number = int(text) if len(digits) < 10 else -1
        if not 0 <= number < self._stages:
            raise ValueError(f"invalid stage index {text}")
        return number

    def suggestion(self, written: str) -> str:
        """Return ` (did you mean X?)` for a stage's name, or nothing."""
        return did_you_mean(written, self._by_name)

    def context(self, name: str, platform: Platform) -> Origin | None:
        """Return the named context `name`, the one for `platform` before the one for all."""
        if not self._contexts or name.lower() in (SCRATCH, "context"):
            return None
        key = _context_key(name)
        found = self._contexts.get(f"{key}::{platform}", self._contexts.get(key))
        if found is None:
            return None
        context = self._options.contexts[found]
        if context.kind != "image":
            return FromContext(found, context)
        return FromImage(_context_image(found, context.value, platform))

    def base(self, name: str, platform: Platform, span: Span) -> Origin:
        """Return what `FROM name` means: a context before a stage, a stage before an image.

        `platform` is that of an image. Raises DefinitionError at `span`.
        """
        if name == SCRATCH:
            return FromScratch()
        context = self.context(name, platform)
        if context is not None:
            return context
        number = self.stage(name)
        return self.image(name, platform, span) if number is None else FromStage(number)

    def origin(self, name: str, platform: Platform, span: Span) -> Origin:
        """Return what `--from=name` means."""
        try:
            number = self.numbered(name)
        except ValueError as error:
            raise DefinitionError(str(error), lines=lines_of(span)) from None
        return self.base(name, platform, span) if number is None else FromStage(number)

    def image(self, name: str, platform: Platform, span: Span) -> FromImage:
        """Return the image `name`. Raises DefinitionError if that is no image's name."""
        try:
            reference = str(Reference.parse(name))
        except ValueError as error:
            message = f"failed to parse stage name {quote(name)}: {error}"
            raise DefinitionError(
                f"{message}{self.suggestion(name)}", lines=lines_of(span)
            ) from None
        return FromImage(BaseRequest(reference, platform))

    def use(self, written: str, span: Span) -> BaseUse:
        """Return where an image is used, and what its user may have meant instead."""
        return BaseUse(lines_of(span), written, self._known_names())

    def _known_names(self) -> tuple[str, ...]:
        if len(self._suggested) != len(self._by_name) + len(_COMMON_IMAGES):
            self._suggested = (*self._by_name, *_COMMON_IMAGES)
        return self._suggested


def _context_key(name: str) -> str:
    """Return a form in which `alpine` and `docker.io/library/alpine:latest` are equal."""
    bare, separator, platform = name.partition("::")
    try:
        bare = Reference.parse(bare).familiar.removesuffix(":latest")
    except ValueError:
        bare = bare.lower()
    return f"{bare}{separator}{platform}"


def _context_image(name: str, value: str, platform: Platform) -> BaseRequest:
    if value.startswith("oci-layout://"):
        return BaseRequest(value, platform)
    try:
        return BaseRequest(str(Reference.parse(value)), platform)
    except ValueError as error:
        raise DefinitionError(f"build context {quote(name)}: {error}") from None
