"""Where the parts of an image archive are written: into a tar, or into a directory.

In: names and contents. Out: members of a tar, or files. Both in the order of the calls.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator

from buildkit.content.streams import Sink
from buildkit.errors import StoreError
from buildkit.exporter.destination import failing, output_directory, output_file
from buildkit.exporter.layout_join import is_layout, joined
from buildkit.exporter.tar_writer import TarWriter
from runtime.typed import Protocol

TYPE_CHECKING = False
if TYPE_CHECKING:
    from buildkit.progress.cancel import Cancel


class Layout(Protocol):
    """Takes the parts; what is above a part is made by `directory` first.

    `names_late`: it takes parts whose name is known only behind their content.
    """

    @property
    def names_late(self) -> bool:
        """Say whether `stream_unnamed` may be called."""
        ...

    def directory(self, name: str) -> None:
        """Make a directory."""
        ...

    def add(self, name: str, content: bytes) -> None:
        """Write a small part."""
        ...

    def stream(self, name: str, size: int, produce: Callable[[Sink], object]) -> None:
        """Write a part of `size` bytes. Raises StoreError when `produce` gives another number."""
        ...

    def stream_unnamed(self, produce: Callable[[Sink], str]) -> None:
        """Write a part of less than 8 GiB, whose name `produce` returns."""
        ...


@contextlib.contextmanager
def open_layout(dest: str, *, as_tar: bool, cancel: Cancel | None = None) -> Iterator[Layout]:
    """Give a layout that is at `dest`, whole, once the block ends well.

    A directory that is a layout already gets it as a part. `cancel` as in `output_file`.
    """
    if as_tar:
        with output_file(dest, cancel) as sink:
            writer = TarWriter(sink, sink.rewrite)
            yield writer
            writer.finish()
        return
    if is_layout(dest):
        with failing(dest), joined(dest) as directory:
            yield _Files(directory)
        return
    with output_directory(dest) as directory:
        yield _Files(directory)


class _Files:
    """Parts as files below a directory."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self.names_late = True

    def directory(self, name: str) -> None:
        os.mkdir(self._path(name))

    def add(self, name: str, content: bytes) -> None:
        self.stream(name, len(content), lambda sink: sink(content))

    def stream(self, name: str, size: int, produce: Callable[[Sink], object]) -> None:
        given = 0
        with open(self._path(name), "xb") as file:

            def write(block: bytes) -> None:
                nonlocal given
                given += len(block)
                file.write(block)

            produce(write)
        if given != size:
            raise StoreError(f"{name} has {given} bytes and should have {size}")

    def stream_unnamed(self, produce: Callable[[Sink], str]) -> None:
        temporary = self._path(".unnamed")
        with open(temporary, "xb") as file:
            name = produce(file.write)
        os.rename(temporary, self._path(name))

    def _path(self, name: str) -> str:
        return os.path.join(self._directory, name)
