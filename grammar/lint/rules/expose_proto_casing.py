"""ExposeProtoCasing: `EXPOSE 80/TCP`."""

from __future__ import annotations

from collections.abc import Iterator

from grammar.instructions import Dockerfile
from grammar.lint.finding import Edit, Finding
from grammar.lint.ports import ports_of
from grammar.lint.rule import Rule


def check(dockerfile: Dockerfile) -> Iterator[Finding]:
    """Look at the protocols behind ports."""
    for expose, word, port in ports_of(dockerfile):
        mapping, slash, protocol = port.partition("/")
        if protocol != protocol.lower():
            edits = [Edit(word.span, f"{mapping}{slash}{protocol.lower()}")]
            yield RULE.finding(
                f"Defined protocol '{port}' in EXPOSE instruction should be lowercase",
                expose.span,
                word.span,
                edits if word.text == port else (),
            )


RULE = Rule(
    "ExposeProtoCasing", "Protocol in EXPOSE instruction should be lowercase", "reference", check
)
