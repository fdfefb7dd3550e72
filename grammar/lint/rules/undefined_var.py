"""UndefinedVar: a variable that neither ARG nor ENV nor the base image defines.

Only who knows the base image can say so: `buildkit.frontend.findings` makes these findings.
"""

from __future__ import annotations

from grammar.lint.rule import Rule

RULE = Rule("UndefinedVar", "Variables should be defined before their use", "reference")
