"""Who asks, in URLs: `user:password@`, or a token in place of either. It is nobody's to read.

In: any text. Out: the same, masked, for what is shown or kept. The user is masked as well, since
servers of repositories take tokens there: `https://TOKEN@host`, `https://TOKEN:x-oauth-basic@host`.
Source: RFC 3986, 3.2.1.
"""

from __future__ import annotations

import re

# Not compiled here: most builds have no URL.
_USERINFO = r"([A-Za-z0-9+.-]*://)([^\s/?#]+)@"
_NAME_ALONE = frozenset({"ssh://", "git+ssh://"})
"""Schemes in which a user without a password is a name, and mostly `git`."""


def redacted(text: str) -> str:
    """Return `text` with `***` for users and passwords in its URLs."""
    if "://" not in text or "@" not in text:
        return text
    return re.sub(_USERINFO, lambda found: _masked(found, "***"), text)


def blotted(text: str) -> str:
    """Return the same, as long as `text` is, so that what stands below it is in its place."""
    if "://" not in text or "@" not in text:
        return text
    return re.sub(_USERINFO, lambda found: _masked(found, "*" * len(found[2])), text)


def _masked(match: re.Match[str], mask: str) -> str:
    if match[1].lower() in _NAME_ALONE and ":" not in match[2]:
        return match[0]
    return f"{match[1]}{mask}@"
