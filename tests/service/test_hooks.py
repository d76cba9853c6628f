"""Notification hooks: who is called, with what, and who never is."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Iterator
from ipaddress import ip_address
from typing import Any

import anyio.to_thread
import pytest

from smfs.protocol import canonical, requests
from smfs.service import ServiceOptions, delivery_rows, hooks
from smfs.service.addresses import is_public
from smfs.service.domain import hooks as domain_hooks

pytestmark = pytest.mark.anyio


async def add(node: Any, url: str, target: str = "this", kind: str = "log") -> dict[str, Any]:
    """A hook that was just added, as it was answered."""
    answer = await node.do(
        requests.AddNotificationHook, type=kind, target_id=target, notify_url=url
    )
    assert isinstance(answer.json, dict)
    return answer.json


async def posts(listener: Any, count: int) -> list[tuple[str, Any]]:
    """So many posts, once they came."""
    taken: list[tuple[str, Any]] = await anyio.to_thread.run_sync(listener.take, count)
    return taken


@pytest.fixture
def silent() -> Iterator[str]:
    """The URL of something that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"


async def test_an_event_says_who_did_what(alice: Any, bob: Any, listener: Any) -> None:
    """The post has the original's form, and the body of the request without its signature."""
    await alice.accept(bob)
    await add(alice, f"{listener.url}/hook", f"subSpaces.{bob.node_id}")
    await posts(listener, 1)
    await bob.share(alice, "x", "the envelope")
    [(path, body)] = await posts(listener, 1)
    assert path == "/hook"
    assert list(body) == ["type", "event", "meta"]
    assert (body["type"], body["event"]) == ("log", "event onWrite")
    meta = body["meta"]
    assert list(meta) == [
        "source",
        "ip",
        "ips",
        "hostname",
        "method",
        "originalUrl",
        "body",
        "response",
    ]
    assert (meta["source"], meta["originalUrl"]) == ("request shareSecretTo", "/shareSecretTo")
    assert meta["body"]["secret"] == "the envelope"
    assert "signature" not in meta["body"]
    assert meta["response"] is True


async def test_how_a_call_went_is_kept(alice: Any, listener: Any, clock: Any) -> None:
    """`lastNotification` has the time at which the last call began, and what went wrong."""
    added = await add(alice, f"{listener.url}/500")
    began = clock.now_ms
    assert added["lastNotification"] == {
        "time": began,
        "error": f"Notification Check on {listener.url}/500 - caught Error: "
        "Network Error: Response not ok - status: 500! body: boom",
    }
    clock.now_ms += 1000
    await alice.set("x", "y")
    await posts(listener, 2)
    shown = added
    with anyio.fail_after(10):
        while shown["lastNotification"]["time"] == began:
            answer = await alice.do(requests.GetNotificationHooks, target_id="this")
            [shown] = answer.json["notificationHooks"]
    assert shown["lastNotification"]["time"] == began + 1000
    assert shown["lastNotification"]["error"].startswith("Notification on ")


@pytest.mark.parametrize(
    ("status", "then"),
    [(307, {"check": True}), (308, {"check": True}), (301, None), (302, None), (303, None)],
)
async def test_a_redirect_is_followed(alice: Any, listener: Any, status: int, then: object) -> None:
    """As the original's platform does it: the body goes on where the status says so."""
    listener.redirects["/old"] = "/new"
    listener.redirect_status = status
    added = await add(alice, f"{listener.url}/old")
    assert added["lastNotification"]["error"] is None
    assert await posts(listener, 2) == [("/old", {"check": True}), ("/new", then)]


async def test_a_circle_of_redirects_ends(alice: Any, listener: Any) -> None:
    """After a few of them, long before the time is up."""
    listener.redirects["/loop"] = "/loop"
    await add(alice, f"{listener.url}/loop")
    assert len(await posts(listener, 6)) == 6


async def test_no_connection_is_used_twice(alice: Any, listener: Any) -> None:
    """Two names at one address may have certificates of their own, each to be looked at."""
    for number in range(3):
        await add(alice, f"{listener.url}/{number}", kind="nothing")
    assert len(listener.take(3)) == len(listener.connections) == 3


async def test_every_address_of_a_name_is_tried(
    alice: Any, listener: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name of two addresses, at the first of which nobody listens."""

    async def answers(_host: object, port: int, **_options: object) -> list[Any]:
        places = ("127.0.0.2", "127.0.0.1")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (place, port)) for place in places]

    monkeypatch.setattr("anyio.getaddrinfo", answers)
    added = await add(alice, f"http://two.test:{listener.port}/x")
    assert added["lastNotification"]["error"] is None


@pytest.mark.parametrize(
    "location", ["http://[::1", "http://\u2603:99999/", "mailto:x", "/loop", "http://a b/", "//"]
)
async def test_an_absurd_redirect_is_a_failed_call(
    alice: Any, listener: Any, location: str
) -> None:
    """Whatever a listener answers, the service notes it and lives."""
    listener.redirects["/loop"] = location.encode().decode("latin-1")
    added = await add(alice, f"{listener.url}/loop")
    assert "caught Error" in added["lastNotification"]["error"]
    await alice.set("x", "y")
    await posts(listener, 2)
    assert await alice.get("x") == "y"


@pytest.mark.parametrize(
    "url",
    [
        *("", "nonsense", "http://", "http://[::1", "ftp://127.0.0.1/", "file:///etc/passwd"),
        *("http:x", "http://127.0.0.1:99999/", "http://\x00/", "https://\ud800.test/"),
        "http://" + "a" * 2000,
    ],
)
async def test_an_absurd_url_is_a_failed_call(alice: Any, url: str) -> None:
    """The hook is stored all the same, as the original does, and says what is wrong."""
    added = await add(alice, url)
    assert "Notification Check on" in added["lastNotification"]["error"]
    await alice.set("x", "y")
    assert await alice.get("x") == "y"


async def test_a_url_is_no_storage(alice: Any) -> None:
    """Beyond the longest that is of any use, none is kept."""
    for length, error in ((2048, None), (2049, "The quota is used up!")):
        url = "http://".ljust(length, "\u2603")
        answer = await alice.ask(
            requests.AddNotificationHook, type="log", target_id="this", notify_url=url
        )
        assert answer.error == error


async def test_hooks_are_bounded(
    alice: Any, listener: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On one thing and in one space: each costs the service a call for every request."""
    monkeypatch.setattr(domain_hooks, "_PER_SPACE", 18)

    async def error(target: str) -> Any:
        url = f"{listener.url}/x"
        answer = await alice.ask(
            requests.AddNotificationHook, type="nothing", target_id=target, notify_url=url
        )
        return answer.error

    await alice.set("x", "y")
    assert [await error("this") for _ in range(17)] == [None] * 16 + ["The quota is used up!"]
    full = [None, None, "The quota is used up!"]
    assert [await error("secrets.x") for _ in range(3)] == full


async def test_a_message_is_made_once(
    alice: Any, silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many hooks do not multiply the work for a large request."""
    monkeypatch.setattr(hooks, "_CHECK_S", 0.01)
    for _ in range(8):
        await add(alice, silent)
    made: list[object] = []
    real = canonical.encode

    def encode(value: Any) -> str:
        made.extend(["meta"] * (isinstance(value, dict) and "meta" in value))
        return real(value)

    monkeypatch.setattr(canonical, "encode", encode)
    await alice.set("x", "y")
    monkeypatch.undo()
    assert len(made) == 1


async def test_the_check_of_a_new_hook_ends_in_time(
    alice: Any, silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever listens and never answers holds the request up for a bounded time only."""
    assert hooks._CHECK_S <= 5
    monkeypatch.setattr(hooks, "_CHECK_S", 0.05)
    began = anyio.current_time()
    added = await add(alice, silent)
    assert added["lastNotification"]["error"].endswith("Network Error: fetch failed")
    assert anyio.current_time() - began < 3


async def test_nobody_waits_for_a_notification(
    alice: Any, silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A listener that never answers delays no request, and not the end of the service either."""
    monkeypatch.setattr(hooks, "_CHECK_S", 0.01)
    await add(alice, silent)
    began = anyio.current_time()
    for _ in range(50):
        await alice.set("x", "y")
    assert anyio.current_time() - began < 5


async def test_what_waits_is_bounded_in_bytes(
    alice: Any, silent: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Notifications that nobody takes are dropped rather than kept for ever."""
    monkeypatch.setattr(hooks, "_CHECK_S", 0.01)
    monkeypatch.setattr(delivery_rows, "_MOST_BYTES", 100_000)
    await add(alice, silent)
    for _ in range(40):
        await alice.set("x", "a canary " * 1000)
    assert "notifications were dropped" in caplog.text
    assert "canary" not in caplog.text
    assert await alice.get("x") == "a canary " * 1000


class TestPrivateTargets:
    """What lies around the service is not called, unless its owner says so."""

    @pytest.fixture
    def options(self) -> ServiceOptions:
        """The default ones."""
        return ServiceOptions()

    @pytest.mark.parametrize(
        "host",
        [
            "127.0.0.1",
            "localhost",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "0.0.0.0",
            "2130706433",
            "0x7f.1",
        ],
    )
    async def test_this_machine_is_not_called(self, alice: Any, listener: Any, host: str) -> None:
        """By no name or spelling; to the owner of the hook it looks like nobody listens."""
        added = await add(alice, f"http://{host}:{listener.port}/private")
        assert added["lastNotification"]["error"].endswith("Network Error: fetch failed")
        await alice.set("x", "y")
        assert listener.take(0) == []

    async def test_a_redirect_is_looked_at_again(
        self, alice: Any, listener: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A public address that redirects to a private one leads nowhere."""
        monkeypatch.setattr(hooks, "is_public", lambda address: str(address) == "127.0.0.1")
        listener.redirects["/public"] = f"http://127.0.0.2:{listener.port}/private"
        added = await add(alice, f"{listener.url}/public")
        assert added["lastNotification"]["error"].endswith("Network Error: fetch failed")
        assert await posts(listener, 1) == [("/public", {"check": True})]

    async def test_the_address_that_was_checked_is_the_one_that_is_called(
        self, alice: Any, listener: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The name is looked up once: a second answer of its server changes nothing."""
        asked: list[object] = []

        async def answers(host: object, port: int, **_options: object) -> list[Any]:
            asked.append(host)
            place = "127.0.0.1" if len(asked) == 1 else "127.0.0.2"
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (place, port))]

        monkeypatch.setattr("anyio.getaddrinfo", answers)
        monkeypatch.setattr(hooks, "is_public", lambda address: str(address) == "127.0.0.1")
        added = await add(alice, f"http://rebinding.test:{listener.port}/x")
        assert added["lastNotification"]["error"] is None
        assert asked == ["rebinding.test"]


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1"),
        *("0.0.0.0", "224.0.0.1", "255.255.255.255", "192.0.2.1"),
        *("::1", "::", "fe80::1", "fc00::1", "ff02::1", "::ffff:10.0.0.1", "::127.0.0.1"),
        *("64:ff9b::7f00:1", "2002:7f00:1::", "2001:0:7f00:1::", "64:ff9b::808:808"),
        *("192.0.0.8", "192.0.0.170", "192.88.99.1", "198.18.0.1", "203.0.113.9", "240.0.0.1"),
        *("2001:db8::1", "2002:808:808::1", "3fff::1", "64:ff9b:1::1", "100::1", "5f00::1"),
        *("2600:1::5efe:7f00:1", "2600:1::200:5efe:a00:1", "::ffff:8.8.8.8", "4000::1"),
    ],
)
def test_what_is_private(address: str) -> None:
    """Private networks are private in every dress that IPv6 has for them."""
    assert not is_public(ip_address(address))


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "2606:4700::1111", "192.0.1.1", "2001:4860:4860::8888", "3ffe::1"]
)
def test_what_is_public(address: str) -> None:
    """Everybody else is public."""
    assert is_public(ip_address(address))


async def test_a_hook_survives_a_restart(
    listener: Any,
    node: Callable[..., Any],
    restarting: Callable[[], Any],
    clock: Any,
) -> None:
    """It is told by the next process, too."""
    async with restarting() as first:
        alice = await node(app=first).open_space()
        await add(alice, f"{listener.url}/x")
        await posts(listener, 1)
    async with restarting() as second:
        alice.app = second
        await alice.set("x", "y")
        [(_, body)] = await posts(listener, 1)
    assert body["event"] == "event onWrite"


async def test_the_hooks_of_what_was_deleted_are_gone(alice: Any, bob: Any, listener: Any) -> None:
    """A secret or sender of the same name is another one, and nobody is told of it."""
    for _ in range(2):
        await alice.accept(bob)
        await alice.set("x", "y")
        await bob.share(alice, "x", "y")
        for target in ("secrets.x", f"subSpaces.{bob.node_id}", f"subSpaces.{bob.node_id}.x"):
            shown = await alice.do(requests.GetNotificationHooks, target_id=target)
            assert shown.json == {"notificationHooks": []}
            await add(alice, listener.url, target)
        await alice.do(requests.DeleteSecret, secret_id="x")
        await alice.do(requests.DeleteSubSpace, from_id=bob.node_id)


async def test_the_hook_of_a_consumed_secret_is_gone(alice: Any, bob: Any, listener: Any) -> None:
    """It hears of the reading, and not of the next secret of that name."""
    await alice.accept(bob)
    target = f"subSpaces.{bob.node_id}.x"
    await bob.share(alice, "x", "1", once=True)
    await add(alice, listener.url, target)
    await posts(listener, 1)
    await alice.do(requests.GetSecretFrom, from_id=bob.node_id, secret_id="x")
    [(_, body)] = await posts(listener, 1)
    assert body["event"] == "event onRead"
    await bob.share(alice, "x", "2")
    shown = await alice.do(requests.GetNotificationHooks, target_id=target)
    assert shown.json == {"notificationHooks": []}


async def test_only_the_owner_is_shown_and_obeyed(
    alice: Any, bob: Any, listener: Any, is_silent: Callable[[Any], Awaitable[bool]]
) -> None:
    """To a stranger a hook is not there, and what he tries tells nobody."""
    added = await add(alice, f"{listener.url}/x")
    await posts(listener, 1)
    refused = await bob.ask(requests.DeleteNotificationHook, notification_hook_id=added["id"])
    assert refused.error == f'notificationHookIds: "{added["id"]}" did not exist!'
    await alice.do(requests.DeleteNotificationHook, notification_hook_id=added["id"].upper())
    assert await is_silent(bob)
