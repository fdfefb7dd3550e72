"""The flags of each instruction: which there are, and reading them.

In: the flags as written. Out: their values by name. Document: docs/dockerfile.md, chapter 4, "Flag
errors". A new flag is a row in `_FLAGS` and a field of its instruction.
"""

from __future__ import annotations

from grammar.errors import DockerfileError
from grammar.nearest import did_you_mean
from grammar.source import Word
from runtime.typed import Literal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    from grammar.instructions import Flag


Kind: TypeAlias = Literal["text", "switch", "list"]
"""A flag with a value, one that is true or false, one that may come several times."""

_COPYING: dict[str, Kind] = {
    "chmod": "text",
    "chown": "text",
    "exclude": "list",
    "link": "switch",
}
_FLAGS: dict[str, dict[str, Kind]] = {
    "ADD": _COPYING | {"checksum": "text", "keep-git-dir": "switch", "unpack": "switch"},
    "COPY": _COPYING | {"from": "text", "parents": "switch"},
    "FROM": {"platform": "text"},
    "HEALTHCHECK": {
        "interval": "text",
        "retries": "text",
        "start-interval": "text",
        "start-period": "text",
        "timeout": "text",
    },
    "RUN": {"device": "list", "mount": "list", "network": "text", "security": "text"},
}


class Options:
    """The flags of one instruction, checked."""

    def __init__(self, instruction: str, flags: tuple[Flag, ...]) -> None:
        """Raises DockerfileError for a flag that `instruction` has not, or not so."""
        self._words: dict[str, list[Word]] = {}
        self._switches: dict[str, bool] = {}
        kinds = _FLAGS.get(instruction, {})
        for flag in flags:
            kind = kinds.get(flag.name)
            if kind is None:
                raise _unknown(instruction, flag, kinds)
            is_repeated = flag.name in self._words or flag.name in self._switches
            if is_repeated and kind != "list":
                raise DockerfileError(f"duplicate flag specified: --{flag.name}", span=flag.span)
            if kind == "switch":
                self._switches[flag.name] = _switch(flag)
            elif flag.value is None:
                raise DockerfileError(f"missing a value on flag: --{flag.name}", span=flag.span)
            else:
                self._words.setdefault(flag.name, []).append(Word(flag.value, flag.span))

    def text(self, name: str) -> Word | None:
        """Return a flag's value; an empty one counts as not given."""
        words = self._words.get(name)
        return words[0] if words and words[0].text else None

    def all(self, name: str) -> tuple[Word, ...]:
        """Return the values of a flag that may be repeated."""
        return tuple(self._words.get(name, ()))

    def switch(self, name: str) -> bool | None:
        """Return whether a switch is on, None if it is not mentioned."""
        return self._switches.get(name)


def _unknown(instruction: str, flag: Flag, kinds: dict[str, Kind]) -> DockerfileError:
    if instruction == "COPY" and flag.name == "checksum":
        return DockerfileError("checksum can't be specified for COPY", span=flag.span)
    suggestion = did_you_mean(flag.name, kinds)
    hint = None
    if not kinds:
        hint = f"{instruction} takes no flags"
    elif not suggestion:
        hint = f"{instruction} takes {', '.join(f'--{name}' for name in sorted(kinds))}"
    return DockerfileError(f"unknown flag: --{flag.name}{suggestion}", span=flag.span, hint=hint)


def _switch(flag: Flag) -> bool:
    if flag.value is None:
        return True
    if not flag.value:
        raise DockerfileError(f"missing a value on flag: --{flag.name}", span=flag.span)
    value = flag.value.lower()
    if value not in ("true", "false"):
        raise DockerfileError(
            f"expecting boolean value for flag {flag.name}, not: {flag.value}", span=flag.span
        )
    return value == "true"
