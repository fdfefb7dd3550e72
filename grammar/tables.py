"""A Lark grammar to LALR tables; needs lark, and is therefore imported in two cases only.

In: the text of dockerfile.lark. Out: plain data for `grammar.lalr.Table`: states, rules, start and
end. Called by the build hook, which keeps the result in `grammar/generated.py`, and by the parser
in a checkout where nobody has run the hook (60 ms). It imports nothing of ours, so that the build
hook can run it by its path.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from lark import Lark

Data: TypeAlias = tuple[tuple[dict[str, int], ...], tuple[tuple[str, int, bool], ...], int, int]


def compile_tables(grammar: str) -> Data:
    """Return the tables of `grammar`. Raises lark's errors when it is no LALR grammar."""
    parser = Lark(grammar, parser="lalr", maybe_placeholders=False)
    # The one place where Lark keeps its tables; a test holds the result against Lark's own parses.
    table: Any = parser.parser.parser._parse_table  # noqa: SLF001
    start, end = table.start_states["start"], table.end_states["start"]
    # Lark numbers its states differently each time; ours are numbered as they are reached.
    states, rules = {start: 0}, dict[Any, int]()
    found: list[dict[str, int]] = []
    for state in (reached := [start]):
        actions = {}
        for symbol, (kind, target) in sorted(table.states[state].items(), key=_name):
            if str(kind) == "Shift":
                if target not in states:
                    states[target] = len(states)
                    reached.append(target)
                actions[str(symbol)] = states[target]
            else:
                actions[str(symbol)] = ~rules.setdefault(target, len(rules))
        found.append(actions)
    right = tuple((str(rule.origin.name), len(rule.expansion), _inlined(rule)) for rule in rules)
    return tuple(found), right, states[start], states[end]


def _name(item: tuple[object, object]) -> str:
    return str(item[0])


def _inlined(rule: Any) -> bool:  # noqa: ANN401 - Lark's Rule, which has no types
    """Whether Lark makes no node of the rule: `_name`, helpers of `*` and `+`, and `?name`."""
    return bool(rule.origin.name.startswith("_") or rule.options.expand1)
