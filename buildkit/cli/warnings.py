"""What a check found, as text for people and as the document that docker's `--call=check` gives.

In: a `Checked`. Out: text, or a JSON document:
`{"warnings": [{"ruleName", "description", "url", "detail", "line", "location"}], "sources": [...],
"buildError": {"message", "location"} or null}`. A rule of our own has no "url".
"""

from __future__ import annotations

import base64

from buildkit.check import Checked
from buildkit.frontend.findings import Finding
from buildkit.progress.escape import visible
from grammar.errors import excerpt
from grammar.lint.table import RULES


def text(checked: Checked) -> str:
    """Return a summary, then each finding with the lines it is about."""
    number = len(checked.findings)
    if not number:
        return "Check complete, no warnings found.\n" if checked.error is None else ""
    have = "warning has" if number == 1 else "warnings have"
    parts = [f"Check complete, {number} {have} been found!\n"]
    for finding in checked.findings:
        lines = excerpt(checked.source, finding.place or finding.span, finding.span)
        page = RULES[finding.rule].url or f"pybuild check --explain {finding.rule}"
        parts.append(f"\nWARNING: {finding.rule} - {page}\n{visible(finding.message)}\n{lines}\n")
    return "".join(parts)


def document(checked: Checked) -> dict[str, object]:
    """Return the document."""
    source = checked.source
    error: dict[str, object] | None = None
    if checked.error is not None:
        error = {"message": str(checked.error)}
        lines = error_lines(checked)
        if lines is not None:
            error["location"] = _location(*lines)
    return {
        "warnings": [_warning(finding) for finding in checked.findings],
        "sources": [
            {
                "filename": source.path,
                "language": "Dockerfile",
                "data": base64.b64encode(source.text.encode("utf-8", "replace")).decode("ascii"),
            }
        ],
        "buildError": error,
    }


def error_lines(checked: Checked) -> tuple[int, int] | None:
    """Return the lines that the error is about, if it knows them."""
    lines = getattr(checked.error, "lines", None)
    line = getattr(checked.error, "line", None)
    return lines or (None if line is None else (line, line))


def _warning(finding: Finding) -> dict[str, object]:
    rule = RULES[finding.rule]
    return {
        "ruleName": rule.name,
        "description": rule.description,
        **({"url": rule.url} if rule.url else {}),
        "detail": finding.message,
        "line": finding.span.line,
        "location": _location(finding.span.line, finding.span.last_line),
    }


def _location(first: int, last: int) -> dict[str, object]:
    return {"sourceIndex": 0, "ranges": [{"start": {"line": first}, "end": {"line": last}}]}
