"""UnknownRule: a check directive or comment that names a rule which there is not.

`grammar.lint.check` makes these findings: it knows what the file selects.
"""

from __future__ import annotations

from grammar.lint.rule import Rule

RULE = Rule("UnknownRule", "Only rules that there are can be switched off or on", "advice")
