"""The option `--pull` of `build` and `run`."""

from buildkit.archive.remote import PullPolicy
from buildkit.errors import UsageError

PULL_HELP = "when to ask the registry for images that others are made from (missing)"


def pull_policy(text: str) -> PullPolicy:
    """Return what `--pull` says; docker's `true` and `false` are understood."""
    match text.lower():
        case "true" | "1" | "always":
            return "always"
        case "false" | "0" | "missing" | "ifnotpresent":
            return "missing"
        case "never":
            return "never"
        case "newer":
            return "newer"
        case _:
            raise UsageError(f"invalid --pull {text!r}", hint="always, missing, never or newer")
