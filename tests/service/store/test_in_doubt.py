"""A COMMIT of which nobody heard: what was asked is done once, and is not refused as a replay."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from smfs.protocol import discovery, requests
from smfs.service import Service, ServiceOptions, create_service
from tests.postgres import Cluster
from tests.service.nodes import Clock, Node
from tests.service.places import rows
from tests.service.store.proxy import Cut, Proxy

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("postgres_url")]

SECRETS = b"INSERT INTO secrets"


@pytest.fixture
def proxy(postgres: Cluster) -> Iterator[Proxy]:
    """Between the service and the server."""
    with Proxy(postgres.port) as made:
        yield made


@pytest.fixture
async def cut_off(
    proxy: Proxy, postgres: Cluster, postgres_url: str, options: ServiceOptions, clock: Clock
) -> AsyncIterator[Service]:
    """A service that reaches its database by the proxy."""
    url = postgres_url.replace(f":{postgres.port}/", f":{proxy.port}/")
    async with create_service(url, options=options, now=clock) as running:
        yield running


@pytest.mark.parametrize("cut", ["before", "after"])
async def test_a_write_is_done_once(
    cut_off: Service, proxy: Proxy, node: Callable[..., Node], postgres_url: str, cut: Cut
) -> None:
    """Whether it had been committed or not."""
    alice = await node(app=cut_off).open_space()
    [(before,)] = rows(postgres_url, "SELECT revision FROM spaces")
    proxy.cut_once(cut, SECRETS)
    request = alice.signed(requests.SetSecret, secret_id="x", secret="y")
    answer = await alice.send(request)
    assert (answer.status, answer.error, proxy.cuts) == (200, None, 1)
    assert answer.headers[discovery.REVISION_HEADER] == str(before + 1)
    assert rows(postgres_url, "SELECT revision FROM spaces") == [(before + 1,)]
    assert await alice.get("x") == "y"
    again = await alice.send(request)
    assert (again.status, again.error) == (
        401,
        "Error on authenticateRequest! Multiple use of signature detected!",
    )


@pytest.mark.parametrize("cut", ["before", "after"])
async def test_a_one_time_secret_comes_although_the_commit_was_cut(
    cut_off: Service,
    proxy: Proxy,
    node: Callable[..., Node],
    postgres_url: str,
    cut: Cut,
) -> None:
    """And only this once."""
    alice, bob = [await node(app=cut_off).open_space() for _ in range(2)]
    await alice.accept(bob)
    await bob.share(alice, "once", "y", once=True)
    proxy.cut_once(cut, b"INSERT INTO handed_out")
    answer = await alice.do(requests.GetSecretFrom, from_id=bob.node_id, secret_id="once")
    assert (answer.opened(alice.identity), proxy.cuts) == ("y", 1)
    gone = await alice.ask(requests.GetSecretFrom, from_id=bob.node_id, secret_id="once")
    assert gone.error == 'Secret with secretId "once" did not exist!'
    assert rows(postgres_url, "SELECT count(*) FROM handed_out") == [(1,)]


@pytest.mark.parametrize("cut", ["before", "after"])
async def test_a_code_lets_in_although_the_commit_was_cut(
    cut_off: Service, proxy: Proxy, node: Callable[..., Node], postgres_url: str, cut: Cut
) -> None:
    """It is used then."""
    alice = await node(app=cut_off).open_space()
    await alice.accept(cut_off.node_id)
    await alice.do(requests.CreateAuthCode, action="openSecretSpace")
    secret = await alice.do(
        requests.GetSecretFrom, from_id=cut_off.node_id, secret_id="openSecretSpaceAuthCode"
    )
    code = secret.opened(alice.identity)
    proxy.cut_once(cut, b"DELETE FROM auth_codes")
    newcomer = node(app=cut_off)
    answer = await newcomer.ask(requests.OpenSecretSpace, auth_code=code, closure_date=None)
    assert (answer.status, answer.error, proxy.cuts) == (200, None, 1)
    assert rows(postgres_url, "SELECT count(*) FROM auth_codes") == [(0,)]
    other = await node(app=cut_off).ask(requests.OpenSecretSpace, auth_code=code, closure_date=None)
    assert other.status == 401
