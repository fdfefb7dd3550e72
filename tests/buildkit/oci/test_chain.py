import hashlib

from buildkit.oci.chain import chain_ids
from buildkit.oci.digest import Digest


def test_a_chain_id_hashes_the_one_below_and_the_diff_id() -> None:
    one, two, three = (Digest.of(text) for text in (b"1", b"2", b"3"))
    first, second, third = chain_ids((one, two, three))
    assert first == one
    assert second == "sha256:" + hashlib.sha256(f"{one} {two}".encode()).hexdigest()
    assert third == "sha256:" + hashlib.sha256(f"{second} {three}".encode()).hexdigest()
