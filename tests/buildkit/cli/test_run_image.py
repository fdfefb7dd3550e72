"""Which images `run` takes."""

import signal
import socket
from pathlib import Path

import pytest

from buildkit.cli import run_image
from buildkit.errors import UsageError
from buildkit.oci.platforms import Platform
from tests.program import Pybuild


@pytest.mark.parametrize("name", ["windows/amd64", "freebsd/arm64"])
def test_an_image_for_another_kernel_is_refused(name: str) -> None:
    system = name.partition("/")[0]
    said = f"image operating system '{system}' cannot be used on this platform"
    with pytest.raises(UsageError, match=said):
        run_image._check(Platform.parse(name))


def test_an_image_for_an_unknown_machine_is_refused_with_what_to_do() -> None:
    with pytest.raises(UsageError, match="nothing translates between them") as caught:
        run_image._check(Platform.parse("linux/mips64le"))
    assert "binfmt_misc" in caught.value.hint


def test_an_image_for_this_machine_is_taken() -> None:
    run_image._check(Platform.host())


def test_a_pull_ends_with_the_run_that_wants_it(tmp_path: Path) -> None:
    pybuild = Pybuild(tmp_path / "root", tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as registry:
        image = f"127.0.0.1:{registry.getsockname()[1]}/image"
        run = pybuild.start("run", "--rm", "--pull", "always", image)
        registry.settimeout(20)
        connection, _ = registry.accept()  # nobody will answer
        with connection:
            run.send_signal(signal.SIGTERM)
            # The pull has the same standard error: this ends when both have.
            _, errors = run.communicate(timeout=20)
    assert (run.returncode, errors) == (143, b"ERROR: cancelled\n")
    assert not list((tmp_path / "root/tmp").iterdir())
