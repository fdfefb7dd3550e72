"""The pages that explain lint rules: `docs/lint/RULE.md`, which an installed package has in itself.

In: a rule. Out: its page, in Markdown.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from grammar.lint.rule import Rule

_HERE = os.path.dirname(os.path.abspath(__file__))
_INSTALLED = f"{_HERE}/pages"
_CHECKOUT = f"{os.path.dirname(os.path.dirname(_HERE))}/docs/lint"


def page(rule: Rule) -> str:
    """Return the page of a rule. Raises OSError where it was left out of the installation."""
    directory = _INSTALLED if os.path.isdir(_INSTALLED) else _CHECKOUT
    with open(f"{directory}/{rule.name}.md", encoding="utf-8") as file:
        return file.read()
