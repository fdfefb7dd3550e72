"""The instructions of a Dockerfile as values, and the file they make up.

Words are as written: no variable is expanded, no quote removed (flags excepted, whose quotes the
lexer takes off). Document: docs/dockerfile.md, chapters 4, 5 and 8. Every instruction ends with the
same fields:

    keyword   its first word, in the case it was written in
    flags     all its flags in order, each with its own span
    comments  the comment lines directly above it, without their `#`
    span      from its first line to its last, heredoc bodies included
    original  its text with continuation lines joined and comments gone; no heredoc bodies
"""

from __future__ import annotations

from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal, TypeAlias

    from grammar.source import Source, Span, Word


class Flag(NamedTuple):
    """`--name=value`, or `--name` with no value; quotes and escapes are gone."""

    name: str
    value: str | None
    span: Span


class Heredoc(NamedTuple):
    """A document in the Dockerfile. `content` is raw: what `<<-` takes off is still in it."""

    name: str
    content: str
    expand: bool
    chomp: bool
    opener: Word

    def body(self) -> str:
        """Return the content as a file has it: with `<<-`, without leading tabs."""
        if not self.chomp:
            return self.content
        return "\n".join(line.lstrip("\t") for line in self.content.split("\n"))


class ExecForm(NamedTuple):
    """A JSON array of strings."""

    args: tuple[str, ...]
    span: Span


class ShellForm(NamedTuple):
    """Text for a shell, continuation lines joined. Empty for `RUN` with nothing behind it."""

    text: str
    span: Span


Command: TypeAlias = ExecForm | ShellForm


class Pair(NamedTuple):
    """A key and a value of ENV or LABEL. `legacy` is the form without `=`."""

    key: Word
    value: Word
    legacy: bool


class Argument(NamedTuple):
    """A name that ARG declares; `default` is None if it has no `=`."""

    name: Word
    default: Word | None


class From(NamedTuple):
    """FROM. `alias` is the stage's name as written, `as_keyword` the word before it."""

    image: Word
    platform: Word | None
    as_keyword: Word | None
    alias: Word | None
    keyword: Word
    flags: tuple[Flag, ...]
    comments: tuple[Word, ...]
    span: Span
    original: str


class Arg(NamedTuple):
    """ARG."""

    arguments: tuple[Argument, ...]
    keyword: Word
    flags: tuple[Flag, ...]
    comments: tuple[Word, ...]
    span: Span
    original: str


class Env(NamedTuple):
    """ENV."""

    pairs: tuple[Pair, ...]
    keyword: Word
    flags: tuple[Flag, ...]
    comments: tuple[Word, ...]
    span: Span
    original: str


class Label(NamedTuple):
    """LABEL."""

    pairs: tuple[Pair, ...]
    keyword: Word
    flags: tuple[Flag, ...]
    comments: tuple[Word, ...]
    span: Span
    original: str


class Maintainer(NamedTuple):
    """MAINTAINER, deprecated; never expanded."""

    author: Word
    keyword: Word
    flags: tuple[Flag, ...]
    comments: tuple[Word, ...]
    span: Span
    original: str


class Run(NamedTuple):
    """RUN. `mounts` are flag values for `flags.parse_run_mount`, to be expanded there."""

    command: Command
    mounts: tuple[Word, ...]
    network: Word | None
    security: Word | None
    devices: tuple[Word, ...]
    heredocs: tuple[Heredoc, ...]
    keyword: Word
    flags: tuple[Flag, ...]
    comments: tuple[Word, ...]
    span: Span
    original: str

    def script(self) -> Heredoc | None:
        """Return the heredoc if the command is nothing else, so that its body is what shall run."""
        if len(self.heredocs) != 1 or not isinstance(self.command, ShellForm):
            return None
        heredoc = self.heredocs[0]
        return heredoc if self.command.text == heredoc.opener.text else None


class Cmd(NamedTuple):
    """CMD."""

    command: Command
    keyword: Word
    flags: tuple[Flag, ...]
    comments: tuple[Word, ...]
    span: Span
    original: str


class Entrypoint(NamedTuple):
    """ENTRYPOINT."""

    command: Command
    keyword: Word
    flags: tuple[Flag, ...]
    comments: tuple[Word, ...]
    span: Span
    original: str


class Expose(NamedTuple):
    """EXPOSE. A word may expand to several; `flags.parse_port_spec` reads them after that."""

    ports: tuple[Word, ...]
    keyword: Word
    flags: tuple[Flag, ...]
    comments: tuple[Word, ...]
    span: Span
    original: str


class Volume(NamedTuple):
    """VOLUME."""

    paths: tuple[Word, ...]
    keyword: Word
    flags: tuple[Flag, ...]
    comments: tuple[Word, ...]
    span: Span
    original: str


class User(NamedTuple):
    """USER."""

    user: Word
    keyword: Word
    flags: tuple[Flag, ...]
    comments: tuple[Word, ...]
    span: Span
    original: str


class Workdir(NamedTuple):
    """WORKDIR."""

    path: Word
    keyword: Word
    flags: tuple[Flag, ...]
    comments: tuple[Word, ...]
    span: Span
    original: str


class Shell(NamedTuple):
    """SHELL."""

    shell: tuple[str, ...]
    keyword: Word
    flags: tuple[Flag, ...]
    comments: tuple[Word, ...]
    span: Span
    original: str


class Stopsignal(NamedTuple):
    """STOPSIGNAL."""

    signal: Word
    keyword: Word
    flags: tuple[Flag, ...]
    comments: tuple[Word, ...]
    span: Span
    original: str


class Healthcheck(NamedTuple):
    """HEALTHCHECK. `command` is None for NONE; times are in nanoseconds, 0 if not given."""

    command: Command | None
    interval: int
    timeout: int
    start_period: int
    start_interval: int
    retries: int
    keyword: Word
    flags: tuple[Flag, ...]
    comments: tuple[Word, ...]
    span: Span
    original: str


class Onbuild(NamedTuple):
    """ONBUILD. `trigger` is the text that the image keeps, heredoc bodies included.

    `instruction` is None for a trigger that will be refused when it runs; BuildKit lets it pass.
    """

    trigger: str
    instruction: Trigger | None
    heredocs: tuple[Heredoc, ...]
    keyword: Word
    flags: tuple[Flag, ...]
    comments: tuple[Word, ...]
    span: Span
    original: str


class Add(NamedTuple):
    """ADD. `sources` are paths, URLs and repositories; `heredocs` are sources with a body."""

    sources: tuple[Word, ...]
    destination: Word
    chown: Word | None
    chmod: Word | None
    checksum: Word | None
    link: bool
    keep_git_dir: bool
    unpack: bool | None
    excludes: tuple[Word, ...]
    heredocs: tuple[Heredoc, ...]
    keyword: Word
    flags: tuple[Flag, ...]
    comments: tuple[Word, ...]
    span: Span
    original: str


class Copy(NamedTuple):
    """COPY. `origin` is what `--from` names."""

    sources: tuple[Word, ...]
    destination: Word
    origin: Word | None
    chown: Word | None
    chmod: Word | None
    link: bool
    parents: bool
    excludes: tuple[Word, ...]
    heredocs: tuple[Heredoc, ...]
    keyword: Word
    flags: tuple[Flag, ...]
    comments: tuple[Word, ...]
    span: Span
    original: str


Trigger: TypeAlias = (
    Arg | Env | Label | Run | Cmd | Entrypoint | Expose | Volume | User | Workdir | Shell
    | Stopsignal | Healthcheck | Add | Copy
)  # fmt: skip
"""What ONBUILD may hold."""

StageInstruction: TypeAlias = Trigger | Maintainer | Onbuild
"""What may stand in a stage behind its FROM."""

Instruction: TypeAlias = From | StageInstruction

KEYWORDS = (
    "ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL",
    "MAINTAINER", "ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR",
)  # fmt: skip


class Stage(NamedTuple):
    """A FROM and what follows it. `name` is in lower case; `number` counts from 0."""

    base: From
    name: str | None
    number: int
    instructions: tuple[StageInstruction, ...]


class Directive(NamedTuple):
    """A parser directive; its name in lower case."""

    name: Literal["syntax", "escape", "check"]
    value: str
    span: Span


class Dockerfile(NamedTuple):
    """A whole file. `empty_continuations` are the blank lines that a continuation skipped."""

    source: Source
    directives: tuple[Directive, ...]
    escape: str
    global_args: tuple[Arg, ...]
    stages: tuple[Stage, ...]
    empty_continuations: tuple[Span, ...]


def name_of(instruction: Instruction) -> str:
    """Return the instruction's keyword in upper case."""
    return type(instruction).__name__.upper()


def description(comments: tuple[Word, ...], name: str) -> str | None:
    """Return what a comment `# name text` above an ARG or FROM says about `name`."""
    for comment in comments:
        if comment.text.startswith(f"{name} "):
            return comment.text[len(name) + 1 :]
    return None
