"""UnpinnedBase: a base image without a tag, or with one that is bound to move."""

from __future__ import annotations

from collections.abc import Iterator

from grammar.instructions import Dockerfile
from grammar.lint.finding import Finding
from grammar.lint.image_name import parse_image_name
from grammar.lint.rule import Rule
from grammar.lint.walk import global_scope, known


def check(dockerfile: Dockerfile) -> Iterator[Finding]:
    """Look at images that are no stages; variables take their defaults."""
    scope = global_scope(dockerfile)
    names = {"scratch"}
    for stage in dockerfile.stages:
        image = stage.base.image
        text = known(image.text, scope, dockerfile.escape)
        if text is not None and text.lower() not in names:
            name = parse_image_name(text)
            if name is not None and not name.digest and name.tag in ("", "latest"):
                how = "has no tag" if not name.tag else "has the tag latest"
                yield RULE.finding(
                    f"Base image {text} {how} and may be another one tomorrow",
                    stage.base.span,
                    image.span,
                )
        if stage.name is not None:
            names.add(stage.name)


RULE = Rule("UnpinnedBase", "A base image should have a version or a digest", "advice", check)
