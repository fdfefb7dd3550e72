"""Where hadolint has a rule like one of ours, both find the same lines, or it is written down why.

The reasons are the table in docs/lint/README.md.
"""

import json
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest

from tests.grammar.lint.test_rules import CASES, findings
from tests.kernel import FEATURES, hadolint, needs

PAIRS = {
    "AddInsteadOfCopy": ("DL3020",),
    "DuplicateStageName": ("DL3024",),
    "FromPlatformFlagConstDisallowed": ("DL3029",),
    "JSONArgsRecommended": ("DL3025",),
    "MaintainerDeprecated": ("DL4000",),
    "MultiSourceNoSlash": ("DL3021",),
    "MultipleInstructionsDisallowed": ("DL3012", "DL4003", "DL4004"),
    "PackageListsKept": ("DL3009", "DL3019", "DL3032", "DL3040"),
    "PipeWithoutPipefail": ("DL4006",),
    "UnpinnedBase": ("DL3006", "DL3007"),
    "WorkdirRelativePath": ("DL3000",),
}

PLATFORM = "it is for every platform that is no build platform, whatever the stage's name"
LAST = "it names the later instruction, we the one that has no effect, as BuildKit does"
SHELL = "it does not count SHELL, nor `set -o pipefail` in the command"
DIFFERENCES = {
    ("AddInsteadOfCopy", "AddInsteadOfCopy: archives"): (
        "it knows neither repositories nor variables nor `--checksum`, and wants every source to be"
        " an archive"
    ),
    ("DuplicateStageName", "DuplicateStageName: names are compared"): "it tells names by case",
    ("FromPlatformFlagConstDisallowed", "FromPlatformFlagConstDisallowed/good"): PLATFORM,
    ("FromPlatformFlagConstDisallowed", "FromPlatformFlagConstDisallowed: a name"): PLATFORM,
    ("FromPlatformFlagConstDisallowed", "InvalidBaseImagePlatform/bad"): PLATFORM,
    ("FromPlatformFlagConstDisallowed", "InvalidBaseImagePlatform/good"): PLATFORM,
    ("FromPlatformFlagConstDisallowed", "RedundantTargetPlatform: in any"): PLATFORM,
    ("FromPlatformFlagConstDisallowed", "UndefinedArgInFrom: an ARG"): PLATFORM,
    ("JSONArgsRecommended", "JSONArgsRecommended: a HEALTHCHECK"): "it counts HEALTHCHECK, too",
    ("JSONArgsRecommended", "JSONArgsRecommended: a SHELL"): SHELL,
    ("JSONArgsRecommended", "UnknownRule/good"): "it knows comments of its own form only",
    ("MultiSourceNoSlash", "MultiSourceNoSlash/bad"): "it does not count patterns",
    ("MultipleInstructionsDisallowed", "JSONArgsRecommended: a SHELL"): LAST,
    ("MultipleInstructionsDisallowed", "MultipleInstructionsDisallowed/bad"): LAST,
    ("MultipleInstructionsDisallowed", "MultipleInstructionsDisallowed: those"): LAST,
    ("PackageListsKept", "AptUpdateAlone/bad"): "an update alone is AptUpdateAlone with us",
    ("PackageListsKept", "AptUpdateAlone: an upgrade"): "an update alone is AptUpdateAlone with us",
    ("PackageListsKept", "PackageListsKept: apk"): (
        "it does not count `rm /var/cache/apk`, nor cache mounts on the parent directory"
    ),
    ("PipeWithoutPipefail", "PipeWithoutPipefail/good"): SHELL,
    ("PipeWithoutPipefail", "PipeWithoutPipefail: or is no pipe"): "it looks into the exec form",
    ("PipeWithoutPipefail", "PipeWithoutPipefail: what asks"): SHELL,
    ("UnpinnedBase", "UnpinnedBase: stages"): "it takes a registry's port for a tag",
    ("WorkdirRelativePath", "WorkdirRelativePath: variables"): "it does not look into variables",
}
"""Why it finds other lines, by our rule and the beginning of the file's or case's name."""

UNREADABLE = (
    "ExposeInvalidFormat", "HeredocNoErrexit: ", "InvalidDefaultArgInFrom: without",
    "InvalidJSONForm: ", "MultiSourceNoSlash: ",
)  # fmt: skip
"""What it cannot parse: addresses in EXPOSE, several heredocs, brackets, a name that is none."""

CRASHING = ("WorkdirRelativePath: a base", "WorkdirRelativePath: only")
"""Its 2.15.1 crashes on `WORKDIR` with a single letter."""


def texts() -> dict[str, str]:
    """Return the Dockerfiles of all fixtures by a name."""
    found = {
        f"{path.parent.name}/{path.name.partition('.')[0]}": path.read_text("utf-8")
        for path in sorted(Path("fixtures/lint").glob("*/*.Dockerfile"))
    }
    found.update((f"{rule}: {title}", text) for rule, title, text, _ in CASES)
    return found


@needs("hadolint")
def test_hadolint_finds_the_same_lines_or_it_is_written_down_why(tmp_path: Path) -> None:
    names = {}
    for number, (name, text) in enumerate(texts().items()):
        if not name.startswith(CRASHING):
            names[str(tmp_path / str(number))] = name
            (tmp_path / str(number)).write_text(text, "utf-8")
    done = subprocess.run(
        [hadolint() or "hadolint", "--no-fail", "--no-color", "-f", "json", *names],
        capture_output=True,
        check=True,
        cwd=tmp_path,
    )
    theirs: dict[str, set[tuple[str, int]]] = defaultdict(set)
    unreadable = set()
    for found in json.loads(done.stdout):
        name = names[found["file"]]
        theirs[name].add((found["code"], found["line"]))
        if found["code"].startswith("DL1"):
            unreadable.add(name)
    assert {name for name in unreadable if not name.startswith(UNREADABLE)} == set()
    different = set()
    for name in set(names.values()) - unreadable:
        ours = findings(texts()[name])
        for rule, codes in PAIRS.items():
            here = {finding.span.line for finding in ours if finding.rule == rule}
            there = {line for code, line in theirs[name] if code in codes}
            if here != there:
                different.add((rule, name))
    unexplained = {
        (rule, name)
        for rule, name in different
        if not any(rule == one and name.startswith(start) for one, start in DIFFERENCES)
    }
    assert unexplained == set()
    assert len(different) == len(DIFFERENCES)


@pytest.mark.parametrize("rule", PAIRS)
def test_the_differences_are_in_the_documentation(rule: str) -> None:
    page = Path("docs/lint/README.md").read_text("utf-8")
    reasons = {reason for (one, _), reason in DIFFERENCES.items() if one == rule}
    codes = ", ".join(PAIRS[rule])
    shown = "; ".join(sorted(reasons)) or "none"
    assert f"| {rule} | {codes} | {shown} |" in page


def test_the_probe_for_hadolint_is_among_the_features() -> None:
    assert "hadolint" in FEATURES
