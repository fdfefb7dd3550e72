"""Lint: all rules over one Dockerfile.

In: a Dockerfile, what is selected, and findings of those who know more than the file. Out: the
findings that count, in order of the file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from grammar.instructions import Dockerfile
from grammar.lint.finding import Finding
from grammar.lint.selection import Selection
from grammar.lint.table import RULES
from grammar.nearest import nearest
from grammar.source import Span


def lint(
    dockerfile: Dockerfile, selection: Selection, others: Iterable[Finding] = ()
) -> tuple[Finding, ...]:
    """Return the findings, those of `others` among them, without the ones that are skipped."""
    found: list[Finding] = []
    for rule in RULES.values():
        if rule.check is not None and selection.takes(rule):
            found += rule.check(dockerfile)
    found += (finding for finding in others if selection.takes(RULES[finding.rule]))
    if selection.takes(RULES["UnknownRule"]):
        found += _unknown(selection)
    order = {name: number for number, name in enumerate(RULES)}

    def place(finding: Finding) -> tuple[int, int, Span, str]:
        where = finding.place or finding.span
        return finding.span.line, order[finding.rule], where, finding.message

    kept = {finding: None for finding in found if selection.keeps(finding)}
    return tuple(sorted(kept, key=place))


def _unknown(selection: Selection) -> Iterator[Finding]:
    """Yield a finding for each name that a check setting has and no rule."""
    lower = {name.lower(): name for name in RULES}
    for word in selection.named:
        if word.text not in RULES:
            same = lower.get(word.text.lower())
            near = same or nearest(word.text, RULES, ignore_case=False)
            hint = f" (did you mean {near}?)" if near else ""
            message = f"No lint rule is called '{word.text}'{hint}"
            yield RULES["UnknownRule"].finding(message, word.span)


def violated(findings: Iterable[Finding]) -> str:
    """Return what a build fails with when findings are errors; empty when nothing counts.

    Only the reference's rules count, so that a Dockerfile which asks for it fails where it does
    with BuildKit.
    """
    names = {one.rule for one in findings if RULES[one.rule].kind == "reference"}
    return f"lint violation found for rules: {', '.join(sorted(names))}" if names else ""
