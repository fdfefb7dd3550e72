"""InvalidBaseImagePlatform: the base image is for another platform than the build.

Only who has the image can say so: `buildkit.frontend.findings` makes these findings.
"""

from __future__ import annotations

from grammar.lint.rule import Rule

RULE = Rule(
    "InvalidBaseImagePlatform",
    "Base image platform does not match expected target platform",
    "reference",
)
