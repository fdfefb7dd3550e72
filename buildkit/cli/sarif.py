"""What a check found, as SARIF 2.1.0, which code hosts and editors read.

In: a `Checked`. Out: a JSON document. Source: the OASIS standard "Static Analysis Results
Interchange Format". Lines and columns count from 1, the end column is the one behind.
"""

from __future__ import annotations

from buildkit.check import Checked
from buildkit.cli.warnings import error_lines
from buildkit.frontend.findings import Finding
from grammar.lint.rule import Rule
from grammar.lint.table import RULES

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
_ERROR = "BuildError"
_LEVELS = {"reference": "warning", "trap": "warning", "advice": "note"}


def sarif(checked: Checked) -> dict[str, object]:
    """Return the document."""
    names = list(dict.fromkeys(finding.rule for finding in checked.findings))
    results = [_result(finding, names.index(finding.rule), checked) for finding in checked.findings]
    if checked.error is not None:
        first, last = error_lines(checked) or (1, 1)
        region = {"startLine": first, "endLine": last}
        results.append(_entry(_ERROR, "error", str(checked.error), region, checked))
    driver: dict[str, object] = {"name": "pybuild", "rules": [_rule(RULES[name]) for name in names]}
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
        ],
    }


def _rule(rule: Rule) -> dict[str, object]:
    found: dict[str, object] = {
        "id": rule.name,
        "shortDescription": {"text": rule.description},
        "defaultConfiguration": {"level": _LEVELS[rule.kind]},
    }
    if rule.url:
        found["helpUri"] = rule.url
    else:
        found["help"] = {"text": f"pybuild check --explain {rule.name}"}
    return found


def _result(finding: Finding, number: int, checked: Checked) -> dict[str, object]:
    place = finding.place or finding.span
    region = {"startLine": place.line, "endLine": place.last_line}
    if finding.place is not None and place.end > 0:
        region |= {"startColumn": place.start + 1, "endColumn": place.end + 1}
    level = _LEVELS[RULES[finding.rule].kind]
    return {**_entry(finding.rule, level, finding.message, region, checked), "ruleIndex": number}


def _entry(
    rule: str, level: str, message: str, region: dict[str, int], checked: Checked
) -> dict[str, object]:
    place = {"artifactLocation": {"uri": checked.source.path}, "region": region}
    return {
        "ruleId": rule,
        "level": level,
        "message": {"text": message},
        "locations": [{"physicalLocation": place}],
    }
