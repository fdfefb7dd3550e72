"""Which images `run` takes."""

import pytest

from buildkit.cli import run_image
from buildkit.errors import UsageError
from buildkit.oci.platforms import Platform


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
