"""InvalidDefaultArgInFrom: without build arguments, FROM names no image."""

from __future__ import annotations

from collections.abc import Iterator

from grammar import words
from grammar.errors import GrammarError
from grammar.instructions import Dockerfile
from grammar.lint.finding import Finding
from grammar.lint.image_name import parse_image_name
from grammar.lint.rule import Rule
from grammar.lint.walk import global_scope


def check(dockerfile: Dockerfile) -> Iterator[Finding]:
    """Expand the names of images with nothing but the defaults."""
    scope = global_scope(dockerfile)
    for stage in dockerfile.stages:
        image = stage.base.image
        if "$" not in image.text:
            continue
        try:
            name = words.expand(image.text, scope, dockerfile.escape).text
        except GrammarError:
            continue
        if parse_image_name(name) is None:
            yield RULE.finding(
                f"Default value for ARG {image.text} results in empty or invalid base image name",
                stage.base.span,
                image.span,
            )


RULE = Rule(
    "InvalidDefaultArgInFrom",
    "Default value for global ARG results in an empty or invalid base image name",
    "reference",
    check,
)
