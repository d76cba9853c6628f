"""The sizes that are promised fit into what travels."""

import json
import subprocess

import pytest

from smfs.crypto.envelope import Address, seal_envelope
from smfs.crypto.identity import Identity
from smfs.protocol import canonical, limits, requests, signing

KEY = Identity(bytes(range(32)))
TEXT, BINARY = b"x", b"\xff"
NAME = "\ud800" * 200  # as long on the wire as an id of 1,200 plain characters


def body_bytes(content: bytes, secret_id: str) -> int:
    """The larger of the two bodies that carry this content."""
    own = Address("own", KEY.node_id, KEY.node_id, secret_id)
    request = requests.ShareSecretTo(
        public_key=KEY.node_id,
        share_to_id=KEY.node_id,
        secret_id=secret_id,
        secret=seal_envelope(KEY, own, content, 2**53 - 1),
        is_one_time_secret=False,
        timestamp=signing.frame(1_800_000_000_000),
        signature=signing.UNSIGNED,
        nonce=signing.NONCE_LIMIT - 1,
    )
    return len(canonical.encode(request.to_wire()).encode())


@pytest.mark.parametrize(
    "content",
    [TEXT * limits.ORIGINAL_CONTENT_BYTES, BINARY * limits.ORIGINAL_BINARY_BYTES],
    ids=["text", "binary"],
)
def test_the_largest_content_for_an_original_fits(content: bytes) -> None:
    """What is promised to fit does, with the longest fields and a long id."""
    assert body_bytes(content, NAME) <= limits.ORIGINAL_BODY_BYTES


@pytest.mark.parametrize("kind", [TEXT, BINARY], ids=["text", "binary"])
@pytest.mark.parametrize("content_bytes", [1, 1000, limits.DEFAULT_CONTENT_BYTES])
def test_the_body_limit_leaves_room_for_the_content(kind: bytes, content_bytes: int) -> None:
    """A service that takes content of a size takes the body that carries it."""
    body = body_bytes(kind * content_bytes, NAME * 20)
    assert body <= limits.body_limit(content_bytes)


def test_the_unsafe_ids_are_all_names_that_javascript_objects_inherit() -> None:
    """Asked of JavaScript itself, so that a newer one with more names is noticed."""
    program = "console.log(JSON.stringify(Object.getOwnPropertyNames(Object.prototype)))"
    printed = subprocess.run(["node", "-e", program], check=True, capture_output=True).stdout
    assert set(json.loads(printed)) == limits.UNSAFE_IDS
