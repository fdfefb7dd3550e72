"""Compression of layers: gzip and zstd, by the fast libraries where they are installed.

In: a stream and the wanted form. Out: the other stream. Equal input gives equal output, whatever
the number of processors and however the input was cut into writes. ISA-L writes gzip eight times
as fast as zlib; which of them wrote a blob is part of the compressor's name, under which its
digest is remembered. Decompression is strict: what is cut short or has something behind its end is
an error (docs/security.md, S19). Source: RFC 1952, RFC 8878.
"""

from __future__ import annotations

import os
import sys
import zlib

from buildkit.content.streams import Reader, Sink
from buildkit.errors import ImageError, UsageError
from buildkit.oci.media_types import Compression
from runtime.typed import Literal
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias


_isal: Any = None
_isal_version = ""
try:  # the door of a library that is optional; zlib takes over
    from isal import ISAL_VERSION, isal_zlib

    _isal, _isal_version = isal_zlib, ISAL_VERSION
except ImportError:
    pass

_WRITE = 1 << 20
"""ISA-L's blocks are these, so its output does not depend on how the input was cut."""

_READ = 1 << 16
_ZSTD_READ = 1 << 10
"""A zstd block of 4 bytes can stand for 128 KiB, so little is fed at once: at most 32 MiB out."""

_MAX_WINDOW = 1 << 27
_GZIP_CONTAINER = 31
_ISAL_LEVEL = 1
_ZLIB_LEVEL = 6
_ZSTD_LEVEL = 3
_ZSTD_THREADS = 4
_ZSTD_JOB = 2 << 20
"""Bytes of a job of a thread: a quarter of what zstd would take, and of the memory; no slower."""

_ZSTD_SMALL_WINDOW = 5
"""The highest level whose matches mostly lie within such a job."""

_RAW = -15
_SAMPLES = 6
_SAMPLE = 8 << 10

Format: TypeAlias = Literal["none", "gzip", "zstd", "bzip2", "xz"]

_MAGIC: tuple[tuple[bytes, Format], ...] = (
    (b"\x1f\x8b\x08", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\0", "xz"),
    # Skippable frames (RFC 8878, 3.1.2): pzstd begins with one, zstd:chunked ends with some.
    *((b"%c\x2a\x4d\x18" % low, "zstd") for low in range(0x50, 0x60)),
)


class Compressor(NamedTuple):
    """A way to compress; `name` tells two apart that write different bytes."""

    compression: Compression
    name: str
    level: int


def compressor(compression: Compression, level: int | None = None) -> Compressor:
    """Return the compressor for `compression`; `level` None is the usual one.

    A gzip level that is asked for is zlib's own, whose bytes other tools write too. Raises
    UsageError for zstd where that library is not installed.
    """
    match compression:
        case "none":
            return Compressor("none", "none", 0)
        case "gzip":
            if level is None and _isal is not None:
                return Compressor(
                    "gzip", f"isa-l {_isal_version} {_ISAL_LEVEL} blocks", _ISAL_LEVEL
                )
            chosen = _ZLIB_LEVEL if level is None else level
            return Compressor("gzip", f"zlib {chosen}", chosen)
        case "zstd":
            zstd = _zstandard()
            if zstd is None:
                raise UsageError(
                    "zstd is not to be had here: the package zstandard is not installed",
                    hint="pip install zstandard, or use gzip",
                )
            chosen = _ZSTD_LEVEL if level is None else level
            return Compressor("zstd", f"zstandard {zstd.__version__} {chosen} jobs", chosen)


def is_noise(block: bytes | memoryview) -> bool:
    """Say whether samples of the block do not get smaller: compressed or encrypted already."""
    if len(block) < 2 * _SAMPLES * _SAMPLE:
        return False
    step = len(block) // _SAMPLES
    sample = b"".join(block[at * step : at * step + _SAMPLE] for at in range(_SAMPLES))
    library = zlib if _isal is None else _isal
    return len(library.compress(sample, _ISAL_LEVEL, _RAW)) >= len(sample)


class CompressingSink:
    """A sink (call it with bytes) that gives compressed bytes to `sink`; end with `finish`."""

    def __init__(self, how: Compressor, sink: Sink) -> None:
        self._sink = sink
        self._stream = _compressing(how)
        self._held: list[bytes] = []
        self._size = 0

    def __call__(self, block: bytes) -> None:
        """Take the next bytes."""
        self._held.append(block)
        self._size += len(block)
        if self._size >= _WRITE:
            joined = b"".join(self._held)
            whole = len(joined) - len(joined) % _WRITE
            view = memoryview(joined)
            for offset in range(0, whole, _WRITE):
                self._put(self._stream.compress(view[offset : offset + _WRITE]))
            self._held = [joined[whole:]]
            self._size = len(joined) - whole

    def finish(self) -> None:
        """Write the end. Must be called once."""
        self._put(self._stream.compress(b"".join(self._held)))
        self._put(self._stream.flush())
        self._held = []

    def _put(self, data: bytes) -> None:
        if data:
            self._sink(data)


def detect(head: bytes) -> Format:
    """Return how a stream that starts with `head` (6 bytes suffice) is compressed."""
    return next((form for magic, form in _MAGIC if head.startswith(magic)), "none")


class DecompressingReader:
    """A reader of what `source` decompresses to; `name` is what errors call it."""

    def __init__(self, source: Reader, form: Format, name: str) -> None:
        self._source = source
        self._form: Format = form
        self._name = name
        self._stream = _decompressing(form)
        self._input = b""
        self._ready = b""
        self._given = 0

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, b"" at the end. Raises ImageError for damage."""
        while self._given == len(self._ready):
            self._given = 0
            if not self._more(size):
                self._ready = b""
                return b""
        data = self._ready[self._given : self._given + size]
        self._given += len(data)
        return data

    def _more(self, size: int) -> bool:
        """Decompress a little; False at a proper end."""
        if self._form == "none":
            self._ready = self._source.read(size)
            return bool(self._ready)
        self._ready = b""
        if self._stream.eof:
            return self._next_member()
        if not self._input and self._wants_input():
            self._input = self._source.read(_READ)
            if not self._input:
                raise self._damaged("cut short")
        try:
            self._ready = self._decompress(size)
        except _errors() as error:
            raise self._damaged(error) from error
        return True

    def _damaged(self, why: object) -> ImageError:
        return ImageError(f"{self._name} is damaged: {self._form}: {why}")

    def _wants_input(self) -> bool:
        return bool(getattr(self._stream, "needs_input", True))

    def _decompress(self, size: int) -> bytes:
        stream = self._stream
        if self._form == "zstd":
            data, self._input = self._input[:_ZSTD_READ], self._input[_ZSTD_READ:]
            ready: bytes = stream.decompress(data)
            if stream.eof:
                self._input = stream.unused_data + self._input
            return ready
        ready = stream.decompress(self._input, max(size, _READ))
        if stream.eof:
            self._input = stream.unused_data
        else:
            self._input = getattr(stream, "unconsumed_tail", b"")
        return ready

    def _next_member(self) -> bool:
        """Go on behind the end of a member: with another one, or not at all."""
        if len(self._input) < 6:
            self._input += self._source.read(_READ)
        if not self._input:
            return False
        if detect(self._input) != self._form:
            raise self._damaged("something follows its end")
        self._stream = _decompressing(self._form)
        return True


def _zstandard() -> Any:  # noqa: ANN401 - a library that may not be there
    """Return the library, None where it is not installed."""
    try:
        import zstandard  # brings `typing`, 5 ms; most layers are gzip
    except ImportError:
        return None
    return zstandard


def _compressing(how: Compressor) -> Any:  # noqa: ANN401 - three libraries, one shape
    match how.compression:
        case "none":
            return _Copying()
        case "gzip":
            if how.name.startswith("isa-l"):
                from buildkit.snapshot.blocks import GzipBlocks  # a pool of threads, used here only

                return GzipBlocks(how.level, is_noise)
            return zlib.compressobj(how.level, wbits=_GZIP_CONTAINER)
        case "zstd":
            return _ZstdJobs(how.level)


class _ZstdJobs:
    """zstd with threads, any number of which (but none) gives the same bytes."""

    def __init__(self, level: int) -> None:
        self._zstd = _zstandard()
        parameters = self._zstd.ZstdCompressionParameters.from_level(
            level,
            threads=min(_ZSTD_THREADS, len(os.sched_getaffinity(0))),
            job_size=_ZSTD_JOB if level <= _ZSTD_SMALL_WINDOW else 0,
        )
        self._stream = self._zstd.ZstdCompressor(compression_params=parameters).compressobj()

    def compress(self, data: bytes | memoryview) -> bytes:
        ready: bytes = self._stream.compress(data)
        return ready

    def flush(self) -> bytes:
        # Where the input ends with a job, it depends on timing whether that job is the last one or
        # an empty block is. With this it always is an empty block.
        rest: bytes = self._stream.flush(self._zstd.COMPRESSOBJ_FLUSH_BLOCK)
        end: bytes = self._stream.flush()
        return rest + end


class _Copying:
    """Looks like a compressor."""

    @staticmethod
    def compress(data: bytes | memoryview) -> bytes:
        return bytes(data)

    @staticmethod
    def flush() -> bytes:
        return b""


def _decompressing(form: Format) -> Any:  # noqa: ANN401 - five libraries, one shape
    match form:
        case "none":
            return None
        case "gzip":
            library = zlib if _isal is None else _isal
            return library.decompressobj(wbits=_GZIP_CONTAINER)
        case "zstd":
            zstd = _zstandard()
            if zstd is None:
                raise ImageError(
                    "a layer is compressed with zstd and the package zstandard is not installed",
                    hint="pip install zstandard",
                )
            return zstd.ZstdDecompressor(max_window_size=_MAX_WINDOW).decompressobj()
        case "bzip2":
            import bz2  # old archives only

            return bz2.BZ2Decompressor()
        case "xz":
            import lzma  # old archives only

            return lzma.LZMADecompressor(memlimit=_MAX_WINDOW)


def _errors() -> tuple[type[Exception], ...]:
    """Return what the libraries raise for damaged input."""
    found: list[type[Exception]] = [zlib.error, EOFError, OSError, ValueError]
    if _isal is not None:
        found.append(_isal.error)
    if (zstd := sys.modules.get("zstandard")) is not None:
        found.append(zstd.ZstdError)
    if (lzma := sys.modules.get("lzma")) is not None:
        found.append(lzma.LZMAError)
    return tuple(found)
