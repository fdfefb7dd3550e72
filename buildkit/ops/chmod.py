"""`--chmod`: octal, or symbolic as chmod(1) has it.

In: the text as written. Out: a function from a mode to a mode. The umask is taken to be 0.
Source: docs/dockerfile.md, 9.3; POSIX chmod(1), "EXTENDED DESCRIPTION".
"""

import re

from buildkit.errors import DefinitionError
from runtime.values import NamedTuple

_OCTAL = re.compile(r"[0-7]{1,5}")
_CLAUSE = re.compile(r"([ugoa]*)((?:[-+=](?:[ugo]|[rwxXst]*))+)")
_ACTION = re.compile(r"([-+=])([ugo]|[rwxXst]*)")
_SHIFTS = {"u": 6, "g": 3, "o": 0}
_BITS = {"r": 4, "w": 2, "x": 1}
_SET_ID = {"u": 0o4000, "g": 0o2000, "o": 0}
_STICKY = 0o1000


class Action(NamedTuple):
    """One `+`, `-` or `=` with what follows it: permissions, or a class to copy them from."""

    who: str
    operator: str
    what: str


class Chmod(NamedTuple):
    """A parsed --chmod: `octal`, or None and the `actions` in order."""

    octal: int | None
    actions: tuple[Action, ...]

    def apply(self, mode: int, *, directory: bool) -> int:
        """Return the 12 permission bits for something that has `mode`."""
        if self.octal is not None:
            return self.octal
        for action in self.actions:
            mode = _act(action, mode, directory=directory)
        return mode


def parse_chmod(text: str) -> Chmod:
    """Return `text` as a `Chmod`. Raises DefinitionError with BuildKit's words."""
    if _OCTAL.fullmatch(text) and int(text, 8) <= 0o7777:
        return Chmod(int(text, 8), ())
    actions: list[Action] = []
    for clause in text.split(","):
        found = _CLAUSE.fullmatch(clause)
        if found is None:
            raise DefinitionError(
                f"invalid chmod parameter: '{text}'. "
                "it should be octal string and between 0 and 07777",
                hint="symbolic modes are written as in chmod(1): u=rwX,go=rX",
            )
        who = "ugo" if not found[1] or "a" in found[1] else found[1]
        actions += (Action(who, operator, what) for operator, what in _ACTION.findall(found[2]))
    return Chmod(None, tuple(actions))


def _act(action: Action, mode: int, *, directory: bool) -> int:
    if action.what in _SHIFTS:
        bits = mode >> _SHIFTS[action.what] & 7
    else:
        bits = sum(_BITS[char] for char in set(action.what) & _BITS.keys())
        if "X" in action.what and (directory or mode & 0o111):
            bits |= 1
    change = touched = 0
    for who in action.who:
        change |= bits << _SHIFTS[who]
        touched |= 7 << _SHIFTS[who] | _SET_ID[who]
        if "s" in action.what:
            change |= _SET_ID[who]
    if "t" in action.what:
        change |= _STICKY
    if action.operator == "+":
        return mode | change
    if action.operator == "-":
        return mode & ~change
    if action.who == "ugo":
        touched |= _STICKY
    return mode & ~touched | change
