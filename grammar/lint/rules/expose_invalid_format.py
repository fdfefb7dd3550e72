"""ExposeInvalidFormat: `EXPOSE ip:host:port`, of which only the last part counts."""

from __future__ import annotations

from collections.abc import Iterator

from grammar.instructions import Dockerfile
from grammar.lint.finding import Edit, Finding
from grammar.lint.ports import ports_of
from grammar.lint.rule import Rule


def check(dockerfile: Dockerfile) -> Iterator[Finding]:
    """Look for anything in front of a port."""
    for expose, word, port in ports_of(dockerfile):
        mapping, slash, protocol = port.partition("/")
        if ":" in mapping:
            container = mapping.rpartition(":")[2]
            edits = [Edit(word.span, f"{container}{slash}{protocol}")] if container else []
            yield RULE.finding(
                "EXPOSE instruction should not define an IP address or host-port mapping,"
                f" found '{port}'",
                expose.span,
                word.span,
                edits if word.text == port else (),
            )


RULE = Rule(
    "ExposeInvalidFormat",
    "IP address and host-port mapping should not be used in EXPOSE instruction. This will become"
    " an error in a future release",
    "reference",
    check,
)
