import pytest

from buildkit.oci.platforms import Platform


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("linux/amd64", ("linux", "amd64", "")),
        ("linux/x86_64", ("linux", "amd64", "")),
        ("linux/amd64/v1", ("linux", "amd64", "")),
        ("linux/amd64/v3", ("linux", "amd64", "v3")),
        ("linux/arm64/v8", ("linux", "arm64", "")),
        ("linux/arm64/8", ("linux", "arm64", "")),
        ("linux/aarch64", ("linux", "arm64", "")),
        ("linux/arm", ("linux", "arm", "v7")),
        ("linux/arm/6", ("linux", "arm", "v6")),
        ("linux/armhf", ("linux", "arm", "v7")),
        ("linux/armel", ("linux", "arm", "v6")),
        ("Linux/i386", ("linux", "386", "")),
        ("macos/arm64", ("darwin", "arm64", "")),
        ("riscv64", ("linux", "riscv64", "")),
        ("plan10/vax", ("plan10", "vax", "")),
    ],
)
def test_spellings_of_a_platform(text: str, expected: tuple[str, str, str]) -> None:
    assert Platform.parse(text) == Platform(*expected)


@pytest.mark.parametrize("text", ["", "linux/", "a/b/c/d", "linux/am d64", "vax", "../x"])
def test_what_is_no_platform(text: str) -> None:
    with pytest.raises(ValueError, match=r"platform|operating system"):
        Platform.parse(text)


def test_an_operating_system_alone_means_this_machines_architecture() -> None:
    assert Platform.parse("linux") == Platform.host()


def test_the_text_of_a_platform_means_the_platform() -> None:
    for platform in (Platform.host(), Platform("linux", "arm", "v6"), Platform("linux", "arm64")):
        assert Platform.parse(str(platform)) == platform


@pytest.mark.parametrize(
    ("platform", "also"),
    [
        ("linux/amd64", "386"),
        ("linux/amd64/v3", "amd64/v2 amd64 386"),
        ("linux/386", ""),
        ("linux/arm/v7", "arm/v6 arm/v5"),
        ("linux/arm/v6", "arm/v5"),
        ("linux/arm/v5", ""),
        ("linux/arm64", "arm/v8 arm/v7 arm/v6 arm/v5"),
        ("linux/arm64/v8.1", "arm64 arm/v8 arm/v7 arm/v6 arm/v5"),
        ("linux/arm64/v8.2", "arm64/v8.1 arm64 arm/v8 arm/v7 arm/v6 arm/v5"),
        ("linux/arm64/v9", "arm64/v8.5 arm64/v8.4 arm64/v8.3 arm64/v8.2 arm64/v8.1 arm64 ARM"),
        ("linux/ppc64le/power9", ""),
        ("linux/riscv64", ""),
    ],
)
def test_what_will_do_in_its_order(platform: str, also: str) -> None:
    wanted, also = (
        Platform.parse(platform),
        also.replace("ARM", "arm/v9 arm/v8 arm/v7 arm/v6 arm/v5"),
    )
    assert [str(one) for one in wanted.choices()] == [
        platform,
        *(f"linux/{one}" for one in also.split()),
    ]
