"""The option `--pull` of `build` and `run`."""

from __future__ import annotations

from buildkit.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from buildkit.archive.remote import PullPolicy

PULL_HELP = "when to ask the registry for images that others are made from (missing)"


def pull_policy(text: str, option: str = "--pull") -> PullPolicy:
    """Return what `option` says; docker's `true` and `false` and buildah's words are understood."""
    match text.lower():
        case "true" | "1" | "always":
            return "always"
        case "false" | "0" | "missing" | "ifmissing" | "ifnotpresent":
            return "missing"
        case "never":
            return "never"
        case "newer" | "ifnewer":
            return "newer"
        case _:
            raise UsageError(f"invalid {option} {text!r}", hint="always, missing, never or newer")
