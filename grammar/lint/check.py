"""Lint: all rules over one Dockerfile.

In: a Dockerfile, what is selected, and findings of those who know more than the file. Out: the
findings that count, in order of the file.
"""

from collections.abc import Iterable

from grammar.instructions import Dockerfile
from grammar.lint.finding import Finding
from grammar.lint.selection import Selection
from grammar.lint.table import RULES
from grammar.nearest import did_you_mean


def lint(
    dockerfile: Dockerfile, selection: Selection, others: Iterable[Finding] = ()
) -> tuple[Finding, ...]:
    """Return the findings, those of `others` among them, without the ones that are skipped."""
    found: list[Finding] = []
    for rule in RULES.values():
        if rule.check is not None and selection.takes(rule):
            found += rule.check(dockerfile)
    found += (finding for finding in others if selection.takes(RULES[finding.rule]))
    unknown = RULES["UnknownRule"]
    if selection.takes(unknown):
        for word in selection.named:
            if word.text not in RULES:
                hint = did_you_mean(word.text, RULES, ignore_case=False)
                message = f"No lint rule is called '{word.text}'{hint}"
                found.append(unknown.finding(message, word.span))
    kept = {finding: None for finding in found if selection.keeps(finding)}
    order = {name: number for number, name in enumerate(RULES)}
    return tuple(sorted(kept, key=lambda one: (one.span.line, order[one.rule], one.message)))


def violated(findings: Iterable[Finding]) -> str:
    """Return what a build fails with when findings are errors; empty when nothing counts.

    Only the reference's rules count, so that a Dockerfile which asks for it fails where it does
    with BuildKit.
    """
    names = {one.rule for one in findings if RULES[one.rule].kind == "reference"}
    return f"lint violation found for rules: {', '.join(sorted(names))}" if names else ""
