"""Config and history of what was built."""

from buildkit.exporter.assemble import Entry, assemble
from buildkit.oci.config import ContainerConfig, History, ImageConfig
from buildkit.oci.digest import Digest
from buildkit.oci.platforms import Platform

AMD64 = Platform("linux", "amd64")
ONE, TWO = Digest.of(b"1"), Digest.of(b"2")
BASE = ImageConfig(
    platform=AMD64,
    created="2020-01-01T00:00:00Z",
    diff_ids=(ONE,),
    history=(History(created="2020-01-01T00:00:00Z", created_by="base"),),
)


def _image(
    *entries: Entry, base: ImageConfig | None = None, epoch: int | None = None
) -> ImageConfig:
    return assemble(
        container=ContainerConfig(cmd=("sh",)),
        platform=AMD64,
        entries=entries,
        base=base,
        epoch=epoch,
    ).config


def test_layers_and_history_follow_the_bases() -> None:
    config = _image(
        Entry("ENV A=b"),
        Entry("RUN x", TWO, "2024-05-06T07:08:09Z"),
        Entry('CMD ["sh"]'),
        base=BASE,
    )
    assert config.diff_ids == (ONE, TWO)
    assert [(item.created_by, item.created, item.empty_layer) for item in config.history] == [
        ("base", "2020-01-01T00:00:00Z", False),
        ("ENV A=b", "2020-01-01T00:00:00Z", True),
        ("RUN x", "2024-05-06T07:08:09Z", False),
        ('CMD ["sh"]', "2024-05-06T07:08:09Z", True),
    ]
    assert config.created == "2024-05-06T07:08:09Z"


def test_the_same_results_give_the_same_image() -> None:
    entries = (Entry("RUN x", TWO, "2024-05-06T07:08:09Z"), Entry("LABEL a=b"))
    one = assemble(container=ContainerConfig(), platform=AMD64, entries=entries)
    two = assemble(container=ContainerConfig(), platform=AMD64, entries=entries)
    assert one.digest == two.digest


def test_an_epoch_is_the_time_of_all_that_is_new() -> None:
    config = _image(Entry("RUN x", TWO, "2024-05-06T07:08:09Z"), base=BASE, epoch=0)
    assert config.created == "1970-01-01T00:00:00Z"
    assert [item.created for item in config.history] == [
        "2020-01-01T00:00:00Z",
        "1970-01-01T00:00:00Z",
    ]


def test_a_base_with_less_history_than_layers_is_filled_up() -> None:
    config = _image(Entry("RUN x", TWO), base=BASE._replace(history=()))
    assert sum(not item.empty_layer for item in config.history) == len(config.diff_ids)


def test_nothing_but_configuration_on_scratch_has_no_time() -> None:
    assert _image(Entry("ENV A=b")).created == ""
