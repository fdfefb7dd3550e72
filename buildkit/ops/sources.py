"""From the sources of a COPY to the roots they name.

In: sources as written and the trees they lie in. Out: roots, wildcards expanded, in the order in
which they are copied. Source: docs/dockerfile.md, 9.1 and 9.5. A source that is not there is an
error with BuildKit's text; a wildcard that matches nothing is none.
"""

from __future__ import annotations

import stat

from buildkit.context.glob import BadPattern, compile_name, has_wildcards, unescape
from buildkit.context.ignore import NO_RULE
from buildkit.context.paths import join, native, within
from buildkit.context.tree import Missing, Place, Tree
from buildkit.errors import DefinitionError
from buildkit.llb.op import CopyOp, CopySource, InlineFile
from buildkit.ops.listing import is_copied
from buildkit.ops.missing import not_found
from buildkit.ops.selection import INLINE, Root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def find_roots(op: CopyOp, trees: Mapping[int, Tree]) -> tuple[Root, ...]:
    """Return the roots of all sources of `op`. Raises ContextError, DefinitionError."""
    roots: list[Root] = []
    for number, source in enumerate(op.sources):
        match source:
            case InlineFile(name=name):
                roots.append(
                    _root(number, INLINE, Place("", _NO_ROW, NO_RULE), name, directory=False)
                )
            case CopySource(origin=origin, path=path):
                written = native(path)
                try:
                    find = _parents if op.parents else _plain
                    roots += find(number, origin, trees[origin], written)
                except BadPattern as error:
                    raise DefinitionError(str(error)) from error
    return tuple(roots)


_NO_ROW = ("", stat.S_IFREG | 0o644, 0, 0, 0, 0, 0, 0, 0, 0, 0)


def _plain(number: int, origin: int, tree: Tree, written: str) -> Iterator[Root]:
    """Yield the roots of a source without --parents."""
    wild = has_wildcards(within(written))
    for matched in _expand(tree, within(written)):
        place, path = _existing(tree, matched, written)
        if wild and not is_copied(place.row, tree):
            continue
        directory = stat.S_ISDIR(place.row[1])
        yield _root(number, origin, place, path.rpartition("/")[2], directory=directory)


def _parents(number: int, origin: int, tree: Tree, written: str) -> Iterator[Root]:
    """Yield the roots of a source with --parents: what is before the pivot, or the whole tree."""
    before, pivot, after = written.partition("/./")
    if not pivot:
        before, after = "", written
    pattern = within(after)
    literal = not has_wildcards(pattern)
    for matched in _expand(tree, within(before)):
        place, path = _existing(tree, matched, before)
        if not stat.S_ISDIR(place.row[1]):
            if has_wildcards(before):
                continue
            raise not_found(tree, before, Missing(f"{place.path}/{pattern}"))
        if literal and not has_wildcards(before):
            _existing(tree, join(path, unescape(pattern)), written)
        root = _root(number, origin, place, "", directory=True)
        # The pivot itself, `x/./`, is all that is below it.
        yield root._replace(include=pattern or "**")


def _root(number: int, origin: int, place: Place, name: str, *, directory: bool) -> Root:
    return Root(
        number=number,
        origin=origin,
        path=place.path,
        name=name,
        directory=directory,
        include="",
        state=place.state,
    )


def _existing(tree: Tree, path: str, written: str) -> tuple[Place, str]:
    """Return where `path` leads, and `path`, without its backslashes if that is what is there.

    Raises ContextError when there is neither.
    """
    try:
        return tree.find(path), path
    except Missing as missing:
        plain = unescape(path)
        if plain != path:
            try:
                return tree.find(plain), plain
            except Missing:
                pass
        raise not_found(tree, written, missing) from None


def _expand(tree: Tree, pattern: str) -> list[str]:
    """Return the paths that `pattern` matches; itself when it has no wildcards.

    What stands before the first wildcard may lead through links, what a wildcard matches may not:
    only directories are looked into. The last name may be a link, which the caller follows.
    """
    if not has_wildcards(pattern):
        return [pattern]
    names = pattern.split("/")
    literal = next(number for number, name in enumerate(names) if has_wildcards(name))
    try:
        start = tree.find("/".join(names[:literal]))
    except Missing:
        return []
    if not stat.S_ISDIR(start.row[1]):
        return []
    found = [(start.path, start.state)]
    for number, name in enumerate(names[literal:], start=literal + 1):
        found = list(_matches(tree, found, name, last=number == len(names)))
    return [path for path, _ in found]


def _matches(
    tree: Tree, directories: list[tuple[str, int]], pattern: str, *, last: bool
) -> Iterator[tuple[str, int]]:
    """Yield what in `directories` has a name like `pattern`, with its ignore state."""
    fits = compile_name(pattern).fullmatch
    for directory, state in directories:
        for row in tree.directory(directory).rows:
            if not fits(row[0]):
                continue
            is_directory = stat.S_ISDIR(row[1])
            if not is_directory and not last:
                continue
            path = join(directory, row[0])
            inner = tree.patterns.step(state, path) if tree.patterns is not None else NO_RULE
            if tree.shows(path, inner, directory=is_directory):
                yield path, inner
