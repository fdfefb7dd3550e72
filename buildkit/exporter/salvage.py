"""`-o type=local,on=failure,path=/reports,dest=DIR`: what a step that failed has left.

In: a descriptor of the file system as the failed step left it, an output. Out: what is at the path,
in the directory; a single file goes into it under its own name. The rest is removed (guarantee
S26), and mounts of the step (secrets among them) are not in it.
"""

from __future__ import annotations

import errno
import os
import posixpath
import stat
from collections.abc import Sequence

from buildkit.errors import BuildError
from buildkit.exporter.attributes import Output
from buildkit.exporter.local import export_local
from buildkit.progress.events import Emit, Note, Warned
from runtime.safepath import open_beneath

_BLOCK = 1 << 20
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


def salvage(root_fd: int, outputs: Sequence[Output], emit: Emit) -> None:
    """Write what the outputs for failures ask for. Tells of problems and raises nothing of them."""
    for output in outputs:
        if not output.on_failure:
            continue
        try:
            emit(_one(root_fd, output, emit))
        except (BuildError, OSError) as error:
            emit(Warned(f"{output.path} of the failed step was not kept: {error}"))


def _one(root_fd: int, output: Output, emit: Emit) -> Note | Warned:
    try:
        fd = open_beneath(root_fd, output.path.lstrip("/") or ".", os.O_PATH | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in _ABSENT:
            return Warned(f"the failed step has left nothing at {output.path}")
        raise
    try:
        mode = os.fstat(fd).st_mode
        if stat.S_ISDIR(mode):
            export_local(fd, output.dest, lambda message: emit(Warned(message)))
        elif stat.S_ISREG(mode):
            _write_file(fd, output)
        else:
            return Warned(f"{output.path} of the failed step is neither a directory nor a file")
    finally:
        os.close(fd)
    return Note(f"kept {output.path} of the failed step in {output.dest}")


def _write_file(fd: int, output: Output) -> None:
    """Copy one file into the directory; a link that lies there is replaced, never followed."""
    os.makedirs(output.dest, exist_ok=True)
    target = os.path.join(output.dest, posixpath.basename(output.path))
    temporary = f"{target}.{os.getpid()}"
    source = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        made = os.open(temporary, flags, 0o644)
        try:
            while data := os.read(source, _BLOCK):
                view = memoryview(data)
                while view:
                    view = view[os.write(made, view) :]
        finally:
            os.close(made)
        os.rename(temporary, target)
    finally:
        os.close(source)
