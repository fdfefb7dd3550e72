import pytest

from buildkit.attestation.wanted import Wanted
from buildkit.cli.attestations import parse_wanted

NEITHER = frozenset({"sbom", "provenance"})


@pytest.mark.parametrize(
    ("attest", "sbom", "provenance", "wanted"),
    [
        ([], [], ["true"], Wanted(provenance="min")),
        ([], [], ["mode=max"], Wanted(provenance="max")),
        ([], [], ["false"], Wanted(refused=frozenset({"provenance"}))),
        ([], ["0"], ["disabled=true"], Wanted(refused=NEITHER)),
        (["type=provenance,disabled=true"], [], [], Wanted(refused=frozenset({"provenance"}))),
        (
            ["type=sbom,disabled=true"],
            [],
            ["1"],
            Wanted(provenance="min", refused=frozenset({"sbom"})),
        ),
        ([], [], ["false", "true"], Wanted(provenance="min")),
        ([], [], ["true", "false"], Wanted(refused=frozenset({"provenance"}))),
    ],
)
def test_of_several_options_about_a_kind_the_last_counts(
    attest: list[str], sbom: list[str], provenance: list[str], wanted: Wanted
) -> None:
    assert parse_wanted(attest, sbom, provenance) == wanted
