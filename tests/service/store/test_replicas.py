"""Several services on one database, of either engine, are one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.to_thread
import pytest

from smfs.protocol import discovery, requests
from smfs.protocol.changes import RECIPIENT
from smfs.service import Service
from tests.service.nodes import Answer, Clock, Node
from tests.service.places import Place, count, rows
from tests.service.store.conftest import Replicas
from tests.service.store.patience import until

pytestmark = pytest.mark.anyio

REPLAY = "Error on authenticateRequest! Multiple use of signature detected!"


async def at_once(calls: list[Callable[[], Awaitable[Answer]]]) -> list[Answer]:
    """What many calls come to that begin together."""
    answers: list[Answer] = []

    async def one(call: Callable[[], Awaitable[Answer]]) -> None:
        answers.append(await call())

    async with anyio.create_task_group() as tasks:
        for call in calls:
            tasks.start_soon(one, call)
    return answers


def at(app: Service, node: Node) -> Node:
    """The same node, which asks another replica; its nonces are others."""
    return Node(app, node.clock, node.identity, nonce=id(app))


async def test_what_one_stores_the_other_answers(replicas: Replicas, clock: Clock) -> None:
    """What one has seen the other refuses as a replay."""
    async with replicas(2) as (first, second):
        assert first.node_id == second.node_id
        alice = await Node(first, clock).open_space()
        await alice.set("x", "y")
        used = [
            alice.signed(requests.SetSecret, secret_id="x", secret="y"),
            alice.signed(requests.GetSecret, secret_id="x"),
        ]
        for request in used:
            assert (await alice.send(request)).status == 200
        other = at(second, alice)
        assert await other.get("x") == "y"
        for request in used:
            assert (await other.send(request)).error == REPLAY


async def test_a_request_at_all_replicas_at_once_is_let_in_once(
    replicas: Replicas, clock: Clock
) -> None:
    """A write and a read."""
    async with replicas(3) as apps:
        alice = await Node(apps[0], clock).open_space()
        await alice.set("x", "y")
        for request in (
            alice.signed(requests.SetSecret, secret_id="x", secret="z"),
            alice.signed(requests.GetSecret, secret_id="x"),
        ):
            sending = [at(app, alice) for app in apps * 4]
            answers = await at_once(
                [lambda each=each, request=request: each.send(request) for each in sending]  # type: ignore[misc]
            )
            found = Counter((answer.status, answer.error) for answer in answers)
            assert found == {(200, None): 1, (401, REPLAY): 11}


async def test_a_code_works_once_whoever_is_asked(replicas: Replicas, clock: Clock) -> None:
    """Sixteen who come with it at once: one of them gets in."""
    async with replicas(2) as apps:
        alice = await Node(apps[0], clock).open_space()
        await alice.accept(apps[0].node_id)
        await alice.do(requests.CreateAuthCode, action="openSecretSpace")
        secret = await alice.do(
            requests.GetSecretFrom, from_id=apps[0].node_id, secret_id="openSecretSpaceAuthCode"
        )
        code = secret.opened(alice.identity)
        newcomers = [Node(app, clock) for app in apps * 8]
        answers = await at_once(
            [
                lambda each=each: each.ask(  # type: ignore[misc]
                    requests.OpenSecretSpace, auth_code=code, closure_date=None
                )
                for each in newcomers
            ]
        )
        assert Counter(answer.status for answer in answers) == {200: 1, 401: 15}


async def test_a_one_time_secret_is_given_once_whoever_asks(
    replicas: Replicas, clock: Clock
) -> None:
    """By three replicas, each of ten secrets to one of twelve who ask, while others write."""
    gone = 'Secret with secretId "{}" did not exist!'
    async with replicas(3) as apps:
        alice, bob = [await Node(apps[0], clock).open_space() for _ in range(2)]
        await alice.accept(bob)
        readers = [at(app, alice) for app in apps]
        calls: list[Callable[[], Awaitable[Answer]]] = []
        for number in range(10):
            await bob.share(alice, f"{number}", "y", once=True)
            calls += [
                lambda reader=reader, number=number: reader.ask(  # type: ignore[misc]
                    requests.GetSecretFrom, from_id=bob.node_id, secret_id=f"{number}"
                )
                for reader in readers * 4
            ]
            calls.append(lambda number=number: alice.set(f"{number}", "y"))  # type: ignore[misc]
        answers = await at_once(calls)
    found = Counter(answer.error for answer in answers)
    assert found[None] == 20
    assert [found[gone.format(number)] for number in range(10)] == [11] * 10


async def test_two_writers_lose_nothing(replicas: Replicas, clock: Clock, place: Place) -> None:
    """Each change of a space has a revision of its own, and none is left out."""
    async with replicas(2) as apps:
        alice = await Node(apps[0], clock).open_space()
        [(before,)] = rows(place, "SELECT revision FROM spaces")
        writers = [at(app, alice) for app in apps]
        answers = await at_once(
            [
                lambda number=number: writers[number % 2].set(f"{number}", f"{number}")  # type: ignore[misc]
                for number in range(40)
            ]
        )
        revisions = [int(answer.headers[discovery.REVISION_HEADER]) for answer in answers]
        assert sorted(revisions) == list(range(before + 1, before + 41))
        for number in range(40):
            assert await alice.get(f"{number}") == f"{number}"
        kept = rows(place, "SELECT secrets, bytes FROM spaces")
        assert kept == rows(
            place, "SELECT count(*), sum(length(secret_id) + length(content)) FROM secrets"
        )


async def test_a_space_is_opened_while_others_accept_its_node(
    replicas: Replicas, clock: Clock, place: Place, follow: Callable[[Node], Any]
) -> None:
    """Whoever is first: its feed tells who accepts it, each under a revision of its own."""
    async with replicas(2) as (first, second):
        acceptors = [await Node(app, clock).open_space() for app in (first, second) * 2]
        for _ in range(8):
            sender = Node(first, clock)
            calls: list[Callable[[], Awaitable[Any]]] = [sender.open_space]
            calls += [
                lambda each=each, sender=sender: each.accept(sender)  # type: ignore[misc]
                for each in acceptors
            ]
            await at_once(calls)
            follower = follow(sender)
            await follower.catch_up()
            assert set(follower.nodes) == {(RECIPIENT, each.node_id) for each in acceptors}
            key = bytes.fromhex(sender.node_id)
            revisions = rows(place, "SELECT revision FROM recipients WHERE node_id = ?", key)
            assert len(set(revisions)) == len(acceptors)
            [(newest,)] = rows(place, "SELECT revision FROM spaces WHERE node_id = ?", key)
            assert max(revisions) <= (newest,)


async def test_nodes_that_accept_each_other_do_not_stand_still(
    replicas: Replicas, clock: Clock, place: Place
) -> None:
    """Each request changes two spaces; they are opened, accepted and deleted crosswise."""
    async with replicas(2) as apps:
        nodes = [await Node(apps[number % 2], clock).open_space() for number in range(4)]

        async def meddle(one: Node, other: Node) -> None:
            for _ in range(5):
                for answer in (
                    await one.ask(requests.OpenSubSpace, from_id=other.node_id, closure_date=None),
                    await one.ask(requests.DeleteSubSpace, from_id=other.node_id),
                    await one.ask(requests.DeleteSecretSpace),
                    await one.ask(
                        requests.OpenSecretSpace,
                        auth_code=requests.AUTH_CODE_OPEN_SPACE,
                        closure_date=None,
                    ),
                ):
                    assert answer.status == 200

        async with anyio.create_task_group() as tasks:
            for one in nodes:
                for other in nodes:
                    if one is not other:
                        tasks.start_soon(meddle, one, other)
        for one in nodes:
            await one.open_space()
            for other in nodes:
                await one.accept(other)
        assert count(place, "recipients") == count(place, "sub_spaces") == 16
        assert rows(place, "SELECT count(*) FROM spaces WHERE secrets <> 0") == [(0,)]


async def test_a_closure_is_told_of_once(
    replicas: Replicas, clock: Clock, place: Place, listener: Any
) -> None:
    """Whichever replica comes across it first, of three that sweep at the same time."""
    async with replicas(3) as apps:
        witness = await Node(apps[0], clock).open_space()
        spaces = [await Node(apps[0], clock).open_space(clock.now_ms + 1000) for _ in range(4)]
        for number, each in enumerate([witness, *spaces]):
            await each.do(
                requests.AddNotificationHook,
                type="event onDelete",
                target_id="this",
                notify_url=f"{listener.url}/{number}",
            )
        await anyio.to_thread.run_sync(listener.take, 5)
        clock.now_ms += 1000
        async with anyio.create_task_group() as tasks:
            for app in apps:
                tasks.start_soon(app.sweep)
        await until(lambda: not count(place, "deliveries"))
        posts = await anyio.to_thread.run_sync(listener.take, 4)
        assert sorted(path for path, _ in posts) == ["/1", "/2", "/3", "/4"]
        assert count(place, "spaces") == 1
