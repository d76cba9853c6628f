"""Keys and signatures that a careless verifier lets in: ours refuses them, on every route."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from smfs.crypto.identity import Identity
from smfs.protocol import canonical, requests
from smfs.protocol.requests import SignedRequest
from tests.service.hostile import NO_POINTS, NON_CANONICAL, SMALL_ORDER, Lax, Mixed, Nobody
from tests.service.wellformed import WELL_FORMED

pytestmark = pytest.mark.anyio

SIGNED = [kind for kind in requests.ROUTES.values() if issubclass(kind, SignedRequest)]
REASONS = {
    f"Error on authenticateRequest! {reason}"
    for reason in (
        "Invalid Signature!",
        "Expected valid scalar: 0 < scalar < max",
        "Point.fromHex: invalid y coordinate",
    )
}
FORGERS: dict[str, list[Identity]] = {
    "keys of small order": [Nobody(key) for key in SMALL_ORDER],
    "keys of another form": [Nobody(key) for key in NON_CANONICAL],
    "no points": [Nobody(key) for key in NO_POINTS],
    "a key of mixed order": [Mixed(b"m" * 32)],
    **{f"careless with the {kind}": [Lax(b"l" * 32, kind)] for kind in Lax.KINDS},
}


@pytest.fixture
def anyio_backend() -> str:
    """It is the same on every event loop."""
    return "trio"


@pytest.mark.parametrize("name", FORGERS)
async def test_no_forger_is_let_in(
    node: Callable[..., Any], alice: Any, bob: Any, name: str
) -> None:
    """401 on every route, in the protocol's words; and nothing has come of it."""
    await alice.accept(bob)
    before = await alice.space()
    for forger in map(node, FORGERS[name]):
        for kind in SIGNED:
            answer = await forger.ask(kind, **{**WELL_FORMED[kind], **_at(kind, alice.node_id)})
            assert (answer.status, answer.error in REASONS) == (401, True), (kind, answer)
    assert await alice.space() == before


@pytest.mark.parametrize("kind", Lax.KINDS)
async def test_the_forged_forms_differ_from_the_honest_one_only_in_the_signature(
    node: Callable[..., Any], kind: str
) -> None:
    """The same key, honestly signed, is let in: so it is the signature that is refused."""
    honest = await node(Identity(b"l" * 32)).open_space()
    forger = node(Lax(b"l" * 32, kind))
    assert forger.node_id == honest.node_id
    assert (await forger.ask(requests.GetSecretSpace)).status == 401
    assert (await honest.space())["meta"]["id"] == forger.node_id


@pytest.mark.parametrize("name", ["from_id", "share_to_id", "shared_to_id"])
async def test_others_may_have_any_key(alice: Any, name: str) -> None:
    """As the other side of a request any 64 digits are answered in the protocol's words."""
    before = await alice.space()
    kinds = [kind for kind in SIGNED if name in WELL_FORMED[kind]]
    for key in (*SMALL_ORDER, *NON_CANONICAL, *NO_POINTS):
        for kind in set(kinds) - {requests.OpenSubSpace}:
            answer = await alice.ask(kind, **{**WELL_FORMED[kind], name: key})
            assert answer.status == 200
            assert answer.error is not None
    assert await alice.space() == before


@pytest.mark.parametrize("capital", ["public_key", "from_id", "share_to_id", "shared_to_id"])
async def test_a_node_id_in_capitals_is_nobody(
    service: Any, ask: Callable[..., Awaitable[Any]], node: Callable[..., Any], capital: str
) -> None:
    """400 wherever it stands: it would name another space."""
    owner = await node(Identity(b"c" * 32)).open_space()
    asked = 0
    for kind in SIGNED:
        wire = owner.signed(kind, **WELL_FORMED[kind]).to_wire()
        field = {f.attribute: f.name for f in requests.wire_fields(kind)}.get(capital)
        if field is not None:
            asked += 1
            body = canonical.encode({**wire, field: wire[field].upper().replace("0", "A")})
            answer = await ask(service, kind.path(), body)
            assert answer.status == 400
            assert answer.error.endswith(f"parameter {field} - Not in lower case!")
    assert asked


def _at(kind: type[SignedRequest], node_id: str) -> dict[str, str]:
    others = ("from_id", "share_to_id", "shared_to_id")
    return {name: node_id for name in others if name in WELL_FORMED[kind]}
