"""Runs the LALR tables that Lark makes of a grammar: what is left of Lark at run time.

In: a `Table` (`grammar/tables.py` makes it, when the distribution is built) and tokens. Out: what
the callback of the rule returns, which gets the rule's tokens in order. Loading Lark's own parser
for the same tables takes 10 ms, a tenth of a fully cached build; this takes none.
"""

from __future__ import annotations

from runtime.typed import Generic, Protocol, TypeVar
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


END = "$END"

Result = TypeVar("Result")


class Token(Protocol):
    """Anything with the name of a terminal."""

    @property
    def type(self) -> str:
        """The terminal's name."""
        ...


class Rule(NamedTuple):
    """A rule: its name, and the number of symbols on its right side.

    `inlined`: its tokens belong to whatever it is part of, as with the helpers that Lark makes of
    `WORD+`, and with `?start`, which stands for what it is.
    """

    name: str
    size: int
    inlined: bool


class Table(NamedTuple):
    """For each state what a symbol does: 0 and above, go to that state; below, `rules[~n]`."""

    states: tuple[Mapping[str, int], ...]
    rules: tuple[Rule, ...]
    start: int
    end: int


class UnexpectedToken(Exception):  # noqa: N818 - Lark's name for it
    """A token that does not fit; `accepted` are the terminals that would have."""

    def __init__(self, accepted: tuple[str, ...]) -> None:
        super().__init__(f"expected one of {', '.join(accepted)}")
        self.accepted = accepted


class Machine(Generic[Result]):
    """One parse. `callbacks` are called by the names of rules; only the last result counts."""

    def __init__(self, table: Table, callbacks: object) -> None:
        self._table = table
        self._callbacks = callbacks
        self._states = [table.start]
        self._values: list[object] = []

    def feed(self, token: Token) -> None:
        """Take the next token. Raises UnexpectedToken."""
        self._states.append(self._reduced(token.type))
        self._values.append(token)

    def finish(self) -> Result:
        """Return the result. Raises UnexpectedToken when something is missing."""
        self._reduced(END)
        # Lark's tables have no action for the end; it is reached by the last reduction.
        result: Result = self._values[-1]  # type: ignore[assignment]
        return result

    def _reduced(self, symbol: str) -> int:
        """Apply the rules that are complete before `symbol`; return the state it leads to."""
        states, rules = self._table.states, self._table.rules
        while True:
            state = self._states[-1]
            if symbol == END and state == self._table.end:
                return state
            actions = states[state]
            action = actions.get(symbol)
            if action is None:
                accepted = tuple(sorted(name for name in actions if name.isupper()))
                raise UnexpectedToken(accepted)
            if action >= 0:
                return action
            self._reduce(rules[~action])

    def _reduce(self, rule: Rule) -> None:
        first = len(self._values) - rule.size
        values = iter(self._values[first:])
        # `WORD+` is left-recursive: what is collected goes on growing, else 10^4 words take 10^8.
        head = next(values, None) if rule.size else []
        tokens: list[object] = head if type(head) is list else [head]
        for value in values:
            if type(value) is list:
                tokens += value
            else:
                tokens.append(value)
        del self._values[first:], self._states[len(self._states) - rule.size :]
        if not rule.inlined:
            callback: Callable[[list[object]], object] = getattr(self._callbacks, rule.name)
            self._values.append(callback(tokens))
        else:
            self._values.append(tokens[0] if len(tokens) == 1 else tokens)
        self._states.append(self._table.states[self._states[-1]][rule.name])
