"""What is doubtful but no error, found while a Dockerfile is lowered.

These are the lint rules that need a base image: `UndefinedVar` (an image may define the variable)
and `InvalidBaseImagePlatform`. Texts as in docs/lint/.
"""

from __future__ import annotations

from grammar.lint.finding import Finding
from grammar.nearest import nearest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from grammar.source import Span


def undefined_variable(name: str, known: Iterable[str], span: Span) -> Finding:
    """Return the finding that nothing defines `$name`."""
    near = nearest(name, known, ignore_case=False)
    hint = f" (did you mean ${near}?)" if near is not None else ""
    return Finding("UndefinedVar", f"Usage of undefined variable '${name}'{hint}", span)


def other_platform(image: str, found: str, expected: str, span: Span) -> Finding:
    """Return the finding that `image` is for another platform than the one that was asked for."""
    message = (
        f'Base image {image} was pulled with platform "{found}", '
        f'expected "{expected}" for current build'
    )
    return Finding("InvalidBaseImagePlatform", message, span)


__all__ = ["Finding", "other_platform", "undefined_variable"]
