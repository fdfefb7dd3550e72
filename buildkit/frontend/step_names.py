"""What the user sees of a step: `[build 2/5] RUN make`.

In: the stage, and the instruction's text. Out: names as BuildKit shows them. Names are for people;
nothing is decided by them.
"""

from __future__ import annotations

import re

from grammar.instructions import Add, Copy, Heredoc, Run, StageInstruction, Workdir
from grammar.urls import redacted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from buildkit.oci.platforms import Platform


_MASK = "****"
_NAME = r"[A-Za-z_][A-Za-z0-9_]*"


class StepNames:
    """Hands out the names of one stage's steps, numbered as they are asked for.

    `stage` is empty where stages are not told apart, `total` how many steps the stage has.
    `platform`: that of what runs, empty where there is but one.
    """

    def __init__(self, stage: str, total: int, platform: Platform | None = None) -> None:
        self._platform = platform
        self._before = "" if platform is None else f"{platform} "
        self._stage = f"{stage} " if stage else ""
        self._total = total
        self._done = 0

    def next(self, text: str, *, trigger: bool = False) -> str:
        """Return the name of the next step, which does `text`; a `trigger` is one of ONBUILD."""
        self._done += 1
        width = len(str(self._total))
        place = f"[{self._before}{self._stage}{self._done:{width}}/{self._total}]"
        return f"{place} {'ONBUILD ' if trigger else ''}{redacted(text)}"

    def follow(self, arguments: Mapping[str, str | None]) -> None:
        """Look at the ARGs of the stage: one that asks for the target's platform is built for it.

        Then names have both, as `linux/amd64->arm64`, since steps differ by it.
        """
        if self._platform is not None:
            self._before = f"{self._platform}{_arrow(self._platform, arguments)} "


def _arrow(here: Platform, arguments: Mapping[str, str | None]) -> str:
    """Return what differs of the target's platform as far as ARGs have it, or nothing."""
    whole = arguments.get("TARGETPLATFORM")
    if whole:
        system, architecture, variant = (*whole.split("/", 2), "", "")[:3]
    else:
        parts = [arguments.get(f"TARGET{part}") for part in ("OS", "ARCH", "VARIANT")]
        system, architecture = parts[0] or here.os, parts[1] or here.architecture
        variant = parts[2] or ("" if parts[1] else here.variant)
    if (system, architecture, variant) == tuple(here):
        return ""
    short = "/".join(part for part in (architecture, variant) if part)
    return f"->{short}" if system == here.os else f"->{system}/{short}"


def steps_among(instructions: Sequence[StageInstruction]) -> int:
    """Return how many of `instructions` are steps."""
    return sum(isinstance(instruction, Run | Copy | Add | Workdir) for instruction in instructions)


def with_keyword(original: str, keyword: str) -> str:
    """Return an instruction's text with its keyword in upper case."""
    return keyword.upper() + original[len(keyword) :]


def summary(heredoc: Heredoc) -> str:
    """Return what stands for a heredoc in a name: ` (first line...)`."""
    first, *rest = heredoc.content.strip().replace("\r\n", "\n").split("\n")
    return f" ({first}{'...' if rest else ''})"


def command_text(
    text: str, env: Mapping[str, str], escape: str, secrets: Collection[str] = ()
) -> str:
    """Return a RUN's text with the variables in it that have a value.

    Quotes stay, and what is in single ones is not touched; neither are modifiers, nor variables
    that only the shell knows. Variables named in `secrets` are masked.
    """
    if "$" not in text:
        return text
    return "".join(_substituted(text, env, escape, secrets))


def _substituted(
    text: str, env: Mapping[str, str], escape: str, secrets: Collection[str]
) -> Iterator[str]:
    token = re.escape(escape)
    pattern = re.compile(
        rf"(?P<kept>{token}.|'[^']*')|\"|\$(?:(?P<bare>{_NAME})|\{{(?P<braced>{_NAME})\}})",
        re.DOTALL,
    )
    position, quoted = 0, False
    while match := pattern.search(text, position):
        yield text[position : match.start()]
        name = match["bare"] or match["braced"]
        position = match.end()
        if match[0] == '"':
            quoted = not quoted
            yield match[0]
        elif match[0].startswith("'") and quoted:
            # A single quote means nothing within double ones.
            yield "'"
            position = match.start() + 1
        elif name in secrets:
            yield _MASK
        else:
            yield match[0] if name is None else env.get(name, match[0])
    yield text[position:]
