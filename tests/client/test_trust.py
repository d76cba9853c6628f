"""A service that lies: it forges, swaps and re-addresses, or takes signatures away."""

from __future__ import annotations

import json
from typing import Any

import pytest

from smfs import errors
from smfs.client.client import Client
from smfs.client.versions import RequireSignatures
from smfs.client.view import View
from smfs.crypto.box import seal_box
from smfs.crypto.identity import Identity
from tests.client.conftest import Make
from tests.client.liar import Liar, listed_problem, shared_by

pytestmark = pytest.mark.anyio


# --- signatures -----------------------------------------------------------------------------------


async def test_a_swapped_own_secret_is_refused(
    alice: Client, alices_view: View, liar: Liar
) -> None:
    """A swapped own secret is refused."""
    await alice.set_secret("a", "text of a")
    await alice.set_secret("b", "text of b")
    liar.own["a"] = liar.own["b"]
    with pytest.raises(errors.SignatureMismatch):
        await alice.get_secret("a")
    with pytest.raises(errors.SignatureMismatch):
        await alices_view.read_own("a")
    assert await listed_problem(alices_view, "a") is errors.SignatureMismatch
    assert await listed_problem(alices_view, "b") is None


async def test_an_altered_envelope_is_refused(alice: Client, liar: Liar) -> None:
    """An altered envelope is refused."""
    await alice.set_secret("a", "text of a")
    for name in ("signedAt", "encryptedContentHex", "sender"):
        wire = json.loads(liar.envelopes["a"])
        wire[name] = wire[name] + 1 if name == "signedAt" else wire[name][::-1]
        liar.own["a"] = json.dumps(wire)
        with pytest.raises(errors.SignatureMismatch):
            await alice.get_secret("a")


async def test_a_secret_under_another_sender_is_refused(
    alice: Client, alices_view: View, liar: Liar, signer: Identity
) -> None:
    """A secret under another sender is refused."""
    text = shared_by(signer, alice.node_id, "id", b"text", 1)
    other = Identity.generate().node_id
    liar.shared[other, "id"] = text
    with pytest.raises(errors.SignatureMismatch):
        await alice.get_secret_from(other, "id")
    with pytest.raises(errors.SignatureMismatch):
        await alices_view.read_from(other, "id")


async def test_a_secret_shared_with_another_is_refused(
    alice: Client, alices_view: View, liar: Liar, signer: Identity
) -> None:
    """A secret shared with another is refused."""
    liar.shared[signer.node_id, "id"] = shared_by(
        signer, Identity.generate().node_id, "id", b"text", 1
    )
    with pytest.raises(errors.SignatureMismatch):
        await alices_view.read_from(signer.node_id, "id")


async def test_nonsense_is_a_problem_of_its_own(alices_view: View, liar: Liar) -> None:
    """Nonsense is a problem of its own."""
    liar.own["good"] = liar.forged(b"text")
    liar.own["bad"] = '{"referencePointHex":"00","encryptedContentHex":"00"}'
    await alices_view.refresh(0)
    assert alices_view.own()["good"].problem is None
    assert alices_view.own()["good"].size == 4
    assert isinstance(alices_view.own()["bad"].problem, errors.MalformedData)
    assert alices_view.own()["bad"].size is None
    with pytest.raises(errors.MalformedData):
        await alices_view.read_own("bad")


async def test_a_listing_of_somebody_else_is_no_listing(
    alice: Client, wire: Any, faults: Any
) -> None:
    """A listing of somebody else is no listing."""
    box = seal_box(Identity.generate().node_id, b"{}")
    wire.always("*", faults.answers(200, json.dumps(box.to_json()).encode()))
    with pytest.raises(errors.ServiceUnavailable):
        await alice.get_secret_space()


# --- unsigned content -----------------------------------------------------------------------------


async def test_unsigned_content_is_read_and_marked(
    alice: Client, alices_view: View, liar: Liar
) -> None:
    """Unsigned content is read and marked."""
    liar.own["id"] = liar.forged(b"of the original")
    assert await alice.get_secret("id") == "of the original"
    reading = await alices_view.read_own("id")
    assert reading.content == b"of the original"
    assert reading.version.sender is None
    assert reading.version.signed_at is None


async def test_unsigned_content_is_refused_where_signatures_are_required(
    alice: Client, liar: Liar
) -> None:
    """Unsigned content is refused where signatures are required."""
    view = View(alice, require_signatures=RequireSignatures(own=True))
    liar.own["id"] = liar.forged(b"forged")
    with pytest.raises(errors.UnsignedSecret, match="--allow-unsigned"):
        await view.read_own("id")
    assert await listed_problem(view, "id") is errors.UnsignedSecret
    assert await alice.get_secret("id") == "forged"


async def test_a_client_can_require_signatures_too(
    make_client: Make, liar: Liar, signer: Identity
) -> None:
    """A client can require signatures too, and its view does as the client does."""
    strict = make_client(
        secret_key_hex="a1" * 32, require_signatures=RequireSignatures(own=True, shared=True)
    )
    liar.own["id"] = liar.forged(b"forged")
    liar.shared[signer.node_id, "id"] = liar.forged(b"forged")
    for call in (
        strict.get_secret,
        View(strict).read_own,
        lambda key: strict.get_secret_from(signer.node_id, key),
    ):
        with pytest.raises(errors.UnsignedSecret):
            await call("id")


async def test_unsigned_shared_content_is_refused_where_signatures_are_required(
    alice: Client, liar: Liar, signer: Identity
) -> None:
    """Unsigned shared content is refused where signatures are required."""
    view = View(alice, require_signatures=RequireSignatures(shared=True))
    liar.shared[signer.node_id, "id"] = liar.forged(b"forged")
    with pytest.raises(errors.UnsignedSecret, match="shared=False"):
        await view.read_from(signer.node_id, "id")


async def test_an_unsigned_copy_of_what_was_shared_is_refused(
    alice: Client, alices_view: View, liar: Liar
) -> None:
    """An unsigned copy of what was shared is refused."""
    node = "b1" * 32
    liar.own[f".smfs/sent/{node}/id"] = liar.forged(b"forged")
    with pytest.raises(errors.UnsignedSecret):
        await alices_view.read_sent(node, "id")


async def test_a_sender_who_was_seen_to_sign_does_not_stop(
    alice: Client, alices_view: View, liar: Liar, signer: Identity
) -> None:
    """A sender who was seen to sign does not stop."""
    liar.shared[signer.node_id, "a"] = shared_by(signer, alice.node_id, "a", b"text", 1)
    assert (await alices_view.read_from(signer.node_id, "a")).version.sender == signer.node_id
    liar.shared[signer.node_id, "b"] = liar.forged(b"forged")
    with pytest.raises(errors.UnsignedSecret):
        await alices_view.read_from(signer.node_id, "b")
    with pytest.raises(errors.UnsignedSecret):
        await alice.get_secret_from(signer.node_id, "b")


async def test_an_own_secret_that_was_signed_does_not_lose_its_signature(
    alice: Client, liar: Liar
) -> None:
    """An own secret that was signed does not lose its signature."""
    await alice.set_secret("id", "text")
    liar.own["id"] = liar.forged(b"forged")
    with pytest.raises(errors.UnsignedSecret):
        await alice.get_secret("id")
