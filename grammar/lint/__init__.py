"""What is doubtful about a Dockerfile, though no error.

The front door: `check.lint`, `selection.selection_for`, `table.RULES`, `fix.apply_edits`, and the
values in `finding`, `rule` and `selection`.
"""
