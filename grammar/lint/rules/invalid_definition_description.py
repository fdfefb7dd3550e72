"""InvalidDefinitionDescription: a comment above ARG or FROM that does not begin with the name."""

from __future__ import annotations

from collections.abc import Iterator

from grammar.instructions import Arg, Dockerfile, From
from grammar.lint.finding import Finding
from grammar.lint.rule import Rule
from grammar.lint.selection import is_check_comment
from grammar.lint.walk import everything


def check(dockerfile: Dockerfile) -> Iterator[Finding]:
    """Look at the last comment line above what a comment can describe."""
    for instruction in everything(dockerfile):
        if isinstance(instruction, From):
            keyword, names = "FROM", [instruction.alias.text] if instruction.alias else []
        elif isinstance(instruction, Arg):
            keyword, names = "ARG", [argument.name.text for argument in instruction.arguments]
        else:
            continue
        comments = [one for one in instruction.comments if not is_check_comment(one)]
        if not comments or not names or comments[-1].text.partition(" ")[0] in names:
            continue
        name = names[0] if len(names) == 1 else "<arg_key>"
        yield RULE.finding(
            f"Comment for {keyword} should follow the format: `# {name} <description>`",
            instruction.span,
            comments[-1].span,
        )


RULE = Rule(
    "InvalidDefinitionDescription",
    "Comment for build stage or argument should follow the format: `# <arg/stage name>"
    " <description>`. If this is not intended to be a description comment, add an empty line or"
    " comment between the instruction and the comment.",
    "reference",
    check,
    experimental=True,
)
