"""Why a source is not there: the words for it, and what may help.

In: a path as written and what following it met. Out: a ContextError with BuildKit's text and a
hint: another case or spelling, a rule of the ignore file, a link that leads nowhere, a path that
would leave the context.
"""

from __future__ import annotations

from buildkit.context.paths import join, within
from buildkit.errors import ContextError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from buildkit.context.tree import Missing, Tree


def not_found(tree: Tree, written: str, missing: Missing) -> ContextError:
    """Return the error for the source `written` of `tree`."""
    return ContextError(
        "failed to compute cache key: failed to calculate checksum of ref "
        f'{tree.label}: "/{within(written)}": not found',
        hint="; ".join(_reasons(tree, written, missing)),
    )


def _reasons(tree: Tree, written: str, missing: Missing) -> list[str]:
    reasons: list[str] = []
    if missing.link:
        reasons.append(f"the link {missing.link!r} on the way leads to {missing.path!r}")
    if missing.hidden and tree.patterns is not None:
        rule = tree.patterns.rule_for(missing.hidden)
        if rule is not None:
            reasons.append(
                f"{missing.hidden!r} is there, but line {rule.line} of {tree.ignore_file} "
                f"hides it: {rule.text}"
            )
    elif near := _near(tree, missing.path):
        reasons.append(f"did you mean {near!r}?")
    if _leaves(written):
        reasons.append(
            f"{written!r} would lie outside of {tree.label}; `..` ends at its root, "
            "and only what is below it can be copied"
        )
    return reasons or [_where(tree)]


def _where(tree: Tree) -> str:
    """Return where the source was looked for."""
    if tree.place != "-":
        return f"paths are looked for in {tree.place}"
    if tree.directory("").rows:
        return "paths are looked for in the archive on standard input"
    return "a Dockerfile on standard input comes without files; with '-f - DIR' it has those of DIR"


def _near(tree: Tree, path: str) -> str:
    """Return an existing path that differs from `path` in case or by a typing error."""
    # Only an error needs it.
    from difflib import get_close_matches

    names = path.split("/")
    found = ""
    for name in names:
        try:
            rows = tree.directory(found).rows
        except ContextError:
            return ""
        here = [row[0] for row in rows if not tree.hides(join(found, row[0]))]
        if name in here:
            found = join(found, name)
            continue
        same = [other for other in here if other.casefold() == name.casefold()]
        close = same or get_close_matches(name, here, n=1)
        if not close:
            return ""
        found = join(found, close[0])
    return found if found != path else ""


def _leaves(written: str) -> bool:
    """Say whether `written` climbs out of the root before anything else."""
    depth = 0
    for name in written.split("/"):
        if name == "..":
            depth -= 1
        elif name not in ("", "."):
            depth += 1
        if depth < 0:
            return True
    return False
