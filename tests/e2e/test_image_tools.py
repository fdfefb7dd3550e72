"""`size`, `tree` and `diff` of images, as a user calls them."""

import json

from tests.callers import BASE, Caller


def test_images_are_told_apart_and_taken_apart(caller: Caller) -> None:
    pybuild = caller.fresh()
    context = caller.context(
        f"FROM {BASE}\nCOPY big /data/big\nRUN chmod 600 /data/big && echo x > /data/new\n",
        "file big 0644 text=" + "b" * 5000,
    )
    pybuild.build(context).ok()

    size = pybuild("size", "test").ok().output
    assert "only changes mode or owner of 1 file of layer 2 (COPY big /data/big)" in size
    document = json.loads(pybuild("size", "--format", "json", "test").ok().output)
    assert document["HiddenSize"] == 5000
    assert [layer["CreatedBy"] for layer in document["Layers"]][1] == "COPY big /data/big"

    tree = pybuild("tree", "test").ok().output
    assert f"Top Layer of: [{BASE}" in tree
    assert tree.splitlines()[-1].startswith("└── ID: ")
    assert "[test:latest]" in pybuild("tree", "--whatrequires", BASE).ok().output

    done = pybuild("diff", BASE, "test").ok().output
    assert "A      5kB /data/big" in done
    assert "3 added, 0 changed, 0 removed: test is +5kB against" in done
    assert pybuild("diff", "--exit-code", "--summary", "test", BASE).status == 1
    assert pybuild("diff", "--exit-code", "test", "test").ok().output == "no difference\n"
    document = json.loads(pybuild("diff", "--format", "json", BASE, "test").ok().output)
    assert document["Sum"] == {"added": 3, "changed": 0, "removed": 0, "grown": 5002}

    pybuild("run", "--name", "box", "test", "sh", "-c", "echo more >> /data/new; rm /data/big").ok()
    found = pybuild("diff", "test", "box").ok().output
    assert "C      +5B /data/new  (content)" in found
    assert "D      5kB /data/big" in found
    assert "/etc/hosts" not in found
    assert "C /data/new\n" in pybuild("diff", "box").ok().output
    for mistake, told in (
        (("diff", "none", "test"), "no image is called 'none'"),
        (("diff", "a", "b", "c"), "one argument too many: c"),
        (("size", "--top", "-1", "test"), "--top must not be negative"),
        (("tree", "none"), "no image is called 'none'"),
    ):
        refused = pybuild(*mistake)
        assert refused.status in (1, 2)
        assert told in refused.errors


def test_an_image_beyond_its_budget_gets_no_name_and_no_output(caller: Caller) -> None:
    pybuild = caller.fresh()
    context = caller.context(f"FROM {BASE}\nCOPY data /data\n", "file data text=" + "b" * 5000)
    archive = caller.place("archive") / "image.tar"

    def built(*options: str) -> tuple[int, str]:
        done = pybuild.build(context, *options)
        return done.status, done.errors

    status, told = built("--max-layer-size", "4k", "-o", f"type=oci,dest={archive}")
    assert status == 1
    assert "COPY data /data: its layer has 6.5KiB, more than the 4KiB of --max-layer-size" in told
    assert ": /data 4.9KiB\n" in told
    assert not archive.exists()
    assert pybuild("inspect", "test").status == 1
    kept = told.rpartition("pybuild size ")[2].partition("'")[0]
    pybuild("size", kept).ok()

    # What is cached counts as what is new; the base's layers do not count at all.
    assert built("--max-layer-size", "4k")[0] == 1
    status, told = built("--max-layer-size", "8k", "--max-growth", "0")
    assert status == 0
    assert "no image is called test:latest yet: its growth is not measured" in told

    before = pybuild("inspect", "-f", "{{.Id}}", "test").ok().output
    caller.write(context / "data", "b" * 10_000)
    status, told = built("--max-growth", "4k")
    assert status == 1
    assert "more than the 4KiB of --max-growth: / +4.9KiB" in told
    assert pybuild("inspect", "-f", "{{.Id}}", "test").ok().output == before
    assert built("--max-growth", "0%", "--growth-from", "test")[0] == 1
    assert built("--max-growth", "50%", "--growth-from", "none")[0] == 1
    assert built("--max-growth", "6k")[0] == 0
    comment = "# pybuild: max-layer-size="
    caller.write(context / "Dockerfile", f"FROM {BASE}\n{comment}5k\nCOPY data /data\n")
    assert "more than the 5KiB of its comment: /data" in built()[1]
    caller.write(context / "Dockerfile", f"FROM {BASE}\n{comment}50k\nCOPY data /data\n")
    assert built("--max-layer-size", "5k")[0] == 0
