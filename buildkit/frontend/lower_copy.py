"""COPY and ADD to an op.

In: the instruction, the state of its stage, and a way to the sources it names. Out: the op with
its inputs, and the history entry. Document: docs/dockerfile.md, chapter 9. What only the files can
tell (wildcards, whether a directory exists) is left to the op.
"""

from __future__ import annotations

from buildkit.frontend import history, remote
from buildkit.frontend.expander import Expander, at
from buildkit.frontend.origins import Inputs, Origins, Place, Source, download_source
from buildkit.frontend.stage_state import StageState, absolute
from buildkit.llb.op import CopyOp, CopySource, InlineFile
from grammar.instructions import Add, Copy
from grammar.urls import redacted
from grammar.values import parse_chmod
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from buildkit.frontend.bases import Origin


_DIRECTORY_ENDS = ("/", "/.", "/..")


class LoweredCopy(NamedTuple):
    """What COPY or ADD comes to."""

    op: CopyOp
    inputs: tuple[str | None, ...]
    created_by: str


class _Words(NamedTuple):
    """The expanded words of an instruction."""

    sources: tuple[str, ...]
    dest: str
    chown: str
    chmod: str
    checksum: str
    files: tuple[InlineFile, ...]


def lower_copy(
    instruction: Copy | Add,
    state: StageState,
    expander: Expander,
    *,
    origin: Origin | None,
    origins: Origins,
    label: str,
    place: Place,
) -> LoweredCopy:
    """Return what `instruction` comes to; `origin` is what its `--from` names.

    Downloads and repositories become vertices, with the `label` of the step. Raises
    DefinitionError.
    """
    words = _expanded(instruction, expander)
    _check(instruction, words, expander)
    inputs = Inputs(state.vertex)
    if isinstance(instruction, Add):
        sources = _added(instruction, words, inputs, expander, origins, label, place)
        unpack = _unpack(instruction)
        keep_owner = False
    else:
        sources, keep_owner = _copied(words, inputs, origin, origins, place)
        unpack = "never"
    op = CopyOp(
        sources=(*sources, *words.files),
        dest=_destination(state.directory, words.dest),
        chown=words.chown,
        chmod=words.chmod,
        exclude=tuple(pattern.text for pattern in instruction.excludes),
        parents=isinstance(instruction, Copy) and instruction.parents,
        # As in BuildKit, where --chmod needs the parent: the trees differ below links in DEST.
        link=instruction.link and not words.chmod,
        unpack=unpack,
        keep_owner=keep_owner,
    )
    created_by = history.copy(
        "ADD" if isinstance(instruction, Add) else "COPY",
        parents=op.parents,
        chown=op.chown,
        chmod=op.chmod,
        sources=map(redacted, words.sources),
        heredocs=[file.name for file in words.files],
        dest=words.dest,
    )
    return LoweredCopy(op, inputs.names(), created_by)


def _expanded(instruction: Copy | Add, expander: Expander) -> _Words:
    return _Words(
        sources=tuple(expander.path(expander.text(source.text)) for source in instruction.sources),
        dest=expander.path(expander.text(instruction.destination.text)),
        chown=expander.optional(instruction.chown),
        chmod=expander.optional(instruction.chmod),
        checksum=expander.optional(instruction.checksum) if isinstance(instruction, Add) else "",
        files=tuple(
            InlineFile(
                name=expander.file_name(heredoc.name),
                content=expander.body(heredoc.body()) if heredoc.expand else heredoc.body(),
            )
            for heredoc in instruction.heredocs
        ),
    )


def _check(instruction: Copy | Add, words: _Words, expander: Expander) -> None:
    """Refuse what does not go together."""
    keyword = "ADD" if isinstance(instruction, Add) else "COPY"
    if words.chmod:
        with at(expander.span):
            parse_chmod(words.chmod)
    if words.checksum:
        if len(words.sources) != 1 or words.files:
            raise expander.error("checksum can't be specified for multiple sources")
        if not remote.is_remote(words.sources[0]):
            raise expander.error("checksum requires HTTP(S) or Git sources")
    if keyword == "COPY":
        _refuse_remote(words, expander)
    several = len(words.sources) + len(words.files) > 1
    parents = isinstance(instruction, Copy) and instruction.parents
    if several and not parents and not _is_directory(words.dest):
        raise expander.error(
            f"When using {keyword} with more than one source file, "
            "the destination must be a directory and end with a /",
            hint=f"write {words.dest}/",
        )


def _refuse_remote(words: _Words, expander: Expander) -> None:
    for source in words.sources:
        if remote.is_git(source):
            raise expander.error("source can't be a git ref for COPY", hint="use ADD")
        if remote.is_remote(source):
            raise expander.error("source can't be a URL for COPY", hint="use ADD")


def _copied(
    words: _Words, inputs: Inputs, origin: Origin | None, origins: Origins, place: Place
) -> tuple[tuple[CopySource, ...], bool]:
    """Return the sources of COPY, and whether they keep their owners."""
    if not words.sources:
        return (), False
    source = origins.main_context() if origin is None else origins.of(origin, place)
    number = inputs.number(source.vertex)
    return tuple(CopySource(number, path) for path in words.sources), source.keeps_owners


def _added(
    instruction: Add,
    words: _Words,
    inputs: Inputs,
    expander: Expander,
    origins: Origins,
    label: str,
    place: Place,
) -> tuple[CopySource, ...]:
    """Return the sources of ADD."""
    sources: list[CopySource] = []
    for text in words.sources:
        path = text
        with at(expander.span):
            if remote.is_git(text):
                git = remote.git_op(text, words.checksum, keep_git_dir=instruction.keep_git_dir)
                source = Source(origins.step(git, (), label, place), keeps_owners=False)
                path = "/"
            elif remote.is_remote(text):
                download = remote.http_op(text, words.checksum)
                source = Source(origins.step(download, (), label, place), keeps_owners=False)
                sources.append(download_source(inputs.number(source.vertex), download))
                continue
            else:
                source = origins.main_context()
        sources.append(CopySource(inputs.number(source.vertex), path))
    return tuple(sources)


def _unpack(instruction: Add) -> Literal["auto", "always", "never"]:
    if instruction.unpack is None:
        return "auto"
    return "always" if instruction.unpack else "never"


def _is_directory(dest: str) -> bool:
    """Return whether a destination can be nothing but a directory."""
    return dest in ("", ".", "..") or dest.endswith(_DIRECTORY_ENDS)


def _destination(directory: str, dest: str) -> str:
    """Return the destination seen from the working directory; a slash at its end stays."""
    path = absolute(directory, dest)
    return f"{path.rstrip('/')}/" if _is_directory(dest) else path
