"""`--chown`: who owns what a COPY makes.

In: `user[:group]` as written and the file system of the stage. Out: numbers. Names are looked up in
its /etc/passwd and /etc/group, opened inside its root. Source: docs/dockerfile.md, 9.3: a name
alone brings its primary group, a number alone is also the group, numbers need no files, an unknown
name is an error, and nothing before or behind the colon is 0 (`WithUser` of Moby BuildKit's llb).
"""

from __future__ import annotations

from buildkit.errors import StepError
from buildkit.llb.op import owner_parts
from runtime import accounts
from runtime.errors import UserError
from runtime.values import NamedTuple


class Owner(NamedTuple):
    """A user and a group as numbers."""

    uid: int
    gid: int


def find_owner(chown: str, view: int | None) -> Owner:
    """Return the owner that `chown` names in the tree `view` (a descriptor; None: empty).

    Raises StepError for names that are not there and numbers that are none.
    """
    user, group = owner_parts(chown)
    uid, gid = accounts.number_of(user), accounts.number_of(group)
    if uid is not None and (gid is not None or not group):
        return Owner(uid, uid if gid is None else gid)
    try:
        passwd = accounts.read_file(view, "/etc/passwd") if view is not None else ""
        groups = accounts.read_file(view, "/etc/group") if view is not None else ""
        found = accounts.find(passwd, groups, f"{user}:{group}" if group else user)
    except UserError as error:
        raise StepError(f"invalid --chown={chown}: {error.message}", hint=error.hint) from error
    except OSError as error:
        raise StepError(f"--chown={chown}: cannot read the stage's users: {error}") from error
    return Owner(found.uid if uid is None else uid, found.gid)
