"""Dockerfile text to typed instructions.

The front door: `parser.parse`, `parser.parse_instruction`, `words.expand`, `flags.parse_run_mount`,
`syntax.parse_syntax`, and the values in `source`, `instructions` and `errors`.
"""
