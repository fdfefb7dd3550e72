"""What layers hold that nobody sees or needs, and what is said of it."""

import os
import shutil
from pathlib import Path

from buildkit.inventory.advice import advice
from buildkit.inventory.waste import inventory
from tests.buildkit.inventory.conftest import layers_of
from tests.contract.conftest import Steps

LARGE = "x" * (64 << 10)


def test_each_kind_of_waste_is_found(steps: Steps) -> None:
    base = steps.base(
        "file data/gone text=12345",
        "file data/deep/too text=123",
        "file moded text=same",
        "file touched text=same mtime=7",
        "file over text=old",
        "file kept text=kept",
        "file var/lib/apt/lists/x text=1234567",
    )

    def work(view: Path) -> None:
        shutil.rmtree(view / "data")
        (view / "moded").chmod(0o600)
        os.utime(view / "touched", (9, 9))
        (view / "over").write_text("new")

    after = steps.run(base.snapshot, work)
    found = inventory(layers_of(steps, after.snapshot))
    lost = [(one.file.path, one.file.size, one.file.layer, one.by, one.fate) for one in found.lost]
    assert lost == [
        ("data/gone", 5, 1, 2, "deleted"),
        ("moded", 4, 1, 2, "mode or owner"),
        ("touched", 4, 1, 2, "times or attributes"),
        ("data/deep/too", 3, 1, 2, "deleted"),
        ("over", 3, 1, 2, "overwritten"),
    ]
    assert [(one.cache.owner, one.size, one.files) for one in found.leftovers] == [("apt", 7, 1)]
    assert found.seen == 4 + 4 + 3 + 4 + 7
    assert found.counts == {1: 7, 2: 3}
    lines = advice(found, layers_of(steps, after.snapshot))
    assert [line.saved for line in lines] == [8, 7, 4, 4, 3]
    assert lines[0].text == (
        "layer 2 (step 2) deletes 2 files of layer 1 (step 1): /data/gone; do both in one RUN"
    )
    assert "COPY --chown" in next(line.text for line in lines if "mode or owner" in line.text)


def test_what_lies_below_an_emptied_directory_is_lost(steps: Steps) -> None:
    base = steps.base("file d/a text=1", "file d/e/b text=12", "file f text=123")

    def work(view: Path) -> None:
        shutil.rmtree(view / "d")
        (view / "d").mkdir()
        (view / "f").unlink()
        (view / "f").mkdir()

    after = steps.run(base.snapshot, work)
    found = inventory(layers_of(steps, after.snapshot))
    assert {one.file.path for one in found.lost} == {"d/a", "d/e/b", "f"}
    assert found.biggest == ()


def test_equal_files_are_found_and_hard_links_are_none(steps: Steps) -> None:
    base = steps.base(
        f"file a text={LARGE}",
        f"file b text={LARGE}",
        f"file other text={LARGE[:-1]}y",
        "file small text=1",
        "file small2 text=1",
        "hard c = a",
    )
    found = inventory(layers_of(steps, base.snapshot))
    (copies,) = found.copies
    assert (copies.size, [one.path for one in copies.files]) == (len(LARGE), ["a", "b"])
    assert found.seen == 3 * len(LARGE) + 2
    (line,) = advice(found, layers_of(steps, base.snapshot))
    assert line.text == "/b has the content of /a: a link would do"
