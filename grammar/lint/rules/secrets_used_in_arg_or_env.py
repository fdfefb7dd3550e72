"""SecretsUsedInArgOrEnv: ARG or ENV with a name like that of a secret; both stay in the image."""

from __future__ import annotations

import re
from collections.abc import Iterator

from grammar.errors import quote
from grammar.instructions import Arg, Dockerfile, Env
from grammar.lint.finding import Finding
from grammar.lint.rule import Rule
from grammar.lint.walk import everything

_SECRET = re.compile(
    r"(?:_|^)(?:apikey|auth|credentials?|key|password|pword|passwd|secret|token)(?:_|$)",
    re.IGNORECASE,
)
_HARMLESS = re.compile(r"(?:_|^)(?:public|file|version)(?:_|$)", re.IGNORECASE)


def check(dockerfile: Dockerfile) -> Iterator[Finding]:
    """Look at the words of the names that ARG and ENV define."""
    for instruction in everything(dockerfile):
        if isinstance(instruction, Arg):
            keyword, names = "ARG", [argument.name for argument in instruction.arguments]
        elif isinstance(instruction, Env):
            keyword, names = "ENV", [pair.key for pair in instruction.pairs]
        else:
            continue
        for name in names:
            if _SECRET.search(name.text) and not _HARMLESS.search(name.text):
                yield RULE.finding(
                    "Do not use ARG or ENV instructions for sensitive data"
                    f" ({keyword} {quote(name.text)})",
                    instruction.span,
                    name.span,
                )


RULE = Rule(
    "SecretsUsedInArgOrEnv",
    "Sensitive data should not be used in the ARG or ENV commands",
    "reference",
    check,
)
