"""Any history of valid requests by two nodes, against the simplest model of what they mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smfs.crypto.box import box_from_json, open_box
from smfs.protocol import canonical, requests
from smfs.protocol.changes import RECIPIENT, SENDER

pytestmark = pytest.mark.anyio

IDS = ("a", "10", "9", "__proto__", "a/\0", "\ud800")
TEXTS = ("", "one", '{"a":1}', "\0é🔐")
PUBLIC = {"auth_code": requests.AUTH_CODE_OPEN_SPACE}
Step = tuple[str, int, tuple[Any, ...]]


class Refused(Exception):
    """What the model says no to; its text is the protocol's."""


@dataclass
class Sub:
    """What one accepted sender shared: each text, and whether it is handed out once."""

    date: int | None
    secrets: dict[str, tuple[str, bool]] = field(default_factory=dict)


@dataclass
class Space:
    """What one node has."""

    date: int | None
    secrets: dict[str, str] = field(default_factory=dict)
    subs: dict[str, Sub] = field(default_factory=dict)


@dataclass
class Model:
    """The service, without everything that makes it one."""

    now: int
    spaces: dict[str, Space] = field(default_factory=dict)

    def pass_time(self, milliseconds: int) -> None:
        """What has closed is gone."""
        self.now += milliseconds
        self.spaces = {name: each for name, each in self.spaces.items() if self._is_open(each)}
        for space in self.spaces.values():
            space.subs = {name: each for name, each in space.subs.items() if self._is_open(each)}

    def _is_open(self, each: Space | Sub) -> bool:
        return each.date is None or each.date > self.now

    def space(self, node: str) -> Space:
        """An open space."""
        if node not in self.spaces:
            raise Refused(f'SecretSpace for "{node}" did not exist!')
        return self.spaces[node]

    def sub(self, node: str, sender: str) -> Sub:
        """What an accepted sender shared."""
        subs = self.space(node).subs
        if sender not in subs:
            raise Refused(f'There is no SubSpace for "{sender}"')
        return subs[sender]

    def must_be_open(self, node: str) -> None:
        """A space is there."""
        self.space(node)

    def must_accept(self, node: str, sender: str) -> None:
        """A sender is accepted."""
        self.sub(node, sender)

    def open(self, node: str, date: int | None) -> None:
        """A space is opened."""
        if node in self.spaces:
            if date not in (None, self.spaces[node].date):
                raise Refused("Updating the closureDate is not allowed!")
        else:
            self.spaces[node] = Space(self.dated(date))

    def accept(self, node: str, sender: str, date: int | None) -> None:
        """A sender is accepted."""
        if sender not in self.space(node).subs:
            self.spaces[node].subs[sender] = Sub(self.dated(date))

    def dated(self, date: int | None) -> int | None:
        """A closure date that lies in the future."""
        if date is not None and date <= self.now:
            raise Refused("ClosureDate has already passed!")
        return date

    def share(self, sender: str, node: str, secret_id: str, text: str, *, once: bool) -> None:
        """A secret goes to a node; what was handed out once stays so."""
        secrets = self.sub(node, sender).secrets
        secrets[secret_id] = text, once or secrets.get(secret_id, ("", False))[1]

    def take(self, node: str, sender: str, secret_id: str) -> str:
        """A shared secret is read."""
        secrets = self.sub(node, sender).secrets
        text: str
        text, once = self.found(secrets, secret_id)
        if once:
            del secrets[secret_id]
        return text

    @staticmethod
    def found(secrets: dict[str, Any], secret_id: str) -> Any:
        """What has an id."""
        if secret_id not in secrets:
            raise Refused(f'Secret with secretId "{secret_id}" did not exist!')
        return secrets[secret_id]


class History:
    """The model and the service, side by side."""

    def __init__(self, nodes: list[Any], clock: Any, follow: Callable[[Any], Any]) -> None:
        self.nodes = nodes
        self.clock = clock
        self.model = Model(clock.now_ms)
        self.followers = [follow(node) for node in nodes]

    async def take(self, step: Step) -> None:
        """One step."""
        name, who, arguments = step
        await getattr(self, name)(self.nodes[who], self.nodes[1 - who], *arguments)

    async def _same(self, expected: Callable[[], Any], asker: Any, kind: Any, **fields: Any) -> Any:
        """The answer, which says what the model says; None where both refuse."""
        wanted, refusal = None, None
        try:
            wanted = expected()
        except Refused as refused:
            refusal = _joined(str(refused))
        answer = await asker.ask(kind, **fields)
        assert (answer.status, answer.error) == (200, refusal)
        if isinstance(wanted, str):
            assert answer.opened(asker.identity) == wanted
        return None if refusal else answer

    async def pass_time(self, _one: Any, _other: Any, milliseconds: int) -> None:
        """Time goes by."""
        self.clock.now_ms += milliseconds
        self.model.pass_time(milliseconds)

    async def open(self, one: Any, _other: Any, date: int | None) -> None:
        """OpenSecretSpace."""
        at = date and self.model.now + date
        await self._same(
            lambda: self.model.open(one.node_id, at),
            *(one, requests.OpenSecretSpace),
            **PUBLIC,
            closure_date=at,
        )

    async def close(self, one: Any, _other: Any) -> None:
        """DeleteSecretSpace."""
        self.model.spaces.pop(one.node_id, None)
        await one.do(requests.DeleteSecretSpace)

    async def set(self, one: Any, _other: Any, secret_id: str, text: str) -> None:
        """SetSecret."""
        await self._same(
            lambda: self.model.space(one.node_id).secrets.update({secret_id: text}),
            *(one, requests.SetSecret),
            secret_id=secret_id,
            secret=text,
        )

    async def get(self, one: Any, _other: Any, secret_id: str) -> None:
        """GetSecret."""
        await self._same(
            lambda: self.model.found(self.model.space(one.node_id).secrets, secret_id),
            *(one, requests.GetSecret),
            secret_id=secret_id,
        )

    async def delete(self, one: Any, _other: Any, secret_id: str) -> None:
        """DeleteSecret."""

        def expected() -> None:
            secrets = self.model.space(one.node_id).secrets
            self.model.found(secrets, secret_id)
            del secrets[secret_id]

        await self._same(expected, one, requests.DeleteSecret, secret_id=secret_id)

    async def accept(self, one: Any, other: Any, date: int | None) -> None:
        """OpenSubSpace."""
        at = date and self.model.now + date
        await self._same(
            lambda: self.model.accept(one.node_id, other.node_id, at),
            *(one, requests.OpenSubSpace),
            from_id=other.node_id,
            closure_date=at,
        )

    async def refuse(self, one: Any, other: Any) -> None:
        """DeleteSubSpace."""

        def expected() -> None:
            self.model.sub(one.node_id, other.node_id)
            del self.model.spaces[one.node_id].subs[other.node_id]

        await self._same(expected, one, requests.DeleteSubSpace, from_id=other.node_id)

    async def share(self, one: Any, other: Any, secret_id: str, text: str, *more: bool) -> None:
        """ShareSecretTo; CheckShare says beforehand how it will go."""
        [once] = more
        named = {"share_to_id": other.node_id, "secret_id": secret_id}
        await self._same(
            lambda: self.model.must_accept(other.node_id, one.node_id),
            *(one, requests.CheckShare),
            **named,
            size=len(text),
        )
        await self._same(
            lambda: self.model.share(one.node_id, other.node_id, secret_id, text, once=once),
            *(one, requests.ShareSecretTo),
            **named,
            secret=text,
            is_one_time_secret=once,
        )

    async def read(self, one: Any, other: Any, secret_id: str) -> None:
        """GetSecretFrom."""
        await self._same(
            lambda: self.model.take(one.node_id, other.node_id, secret_id),
            *(one, requests.GetSecretFrom),
            from_id=other.node_id,
            secret_id=secret_id,
        )

    async def unshare(self, one: Any, other: Any, secret_id: str) -> None:
        """DeleteSharedSecret."""

        def expected() -> None:
            secrets = self.model.sub(other.node_id, one.node_id).secrets
            self.model.found(secrets, secret_id)
            del secrets[secret_id]

        named = {"shared_to_id": other.node_id, "secret_id": secret_id}
        await self._same(expected, one, requests.DeleteSharedSecret, **named)

    async def look(self, one: Any, other: Any) -> None:
        """GetSecretSpace, GetSubSpace and GetChanges show the same, which is the model's."""
        node_id = one.node_id
        listed = await self._same(
            lambda: self.model.must_be_open(node_id), one, requests.GetSecretSpace
        )
        sub = await self._same(
            lambda: self.model.must_accept(node_id, other.node_id),
            *(one, requests.GetSubSpace),
            from_id=other.node_id,
        )
        if listed is None:
            return
        wanted = self.model.spaces[node_id]
        space = canonical.decode(listed.opened(one.identity))
        assert space["meta"]["closureDate"] == wanted.date
        assert _texts(one, space) == _ordered(wanted.secrets)
        assert list(space["subSpaces"]) == list(wanted.subs)
        if sub is not None:
            shown = canonical.decode(sub.opened(one.identity))
            assert shown == space["subSpaces"][other.node_id]
            kept = wanted.subs[other.node_id].secrets
            assert _texts(one, shown) == _ordered({name: text for name, (text, _) in kept.items()})
            once = {name for name, each in shown["secrets"].items() if "isOneTime" in each}
            assert once == {_joined(name) for name, (_, once) in kept.items() if once}
        await self._follow(one, other, wanted)

    async def _follow(self, one: Any, other: Any, wanted: Space) -> None:
        follower = self.followers[self.nodes.index(one)]
        await follower.catch_up()
        subs = wanted.subs.items()
        dates = {(SENDER, name): sub.date for name, sub in subs}
        accepting = self.model.spaces.get(other.node_id)
        if accepting is not None and one.node_id in accepting.subs:
            ends = (accepting.date, accepting.subs[one.node_id].date)
            dates[RECIPIENT, other.node_id] = min((each for each in ends if each), default=None)
        # A closing by the clock is told when it is swept, and until then everybody knows the date.
        told = {key: date for key, date in follower.nodes.items() if self._is_to_come(date)}
        told = {key: date for key, date in told.items() if key[0] == SENDER or accepting}
        assert told == dates
        secrets = {("", secret_id) for secret_id in wanted.secrets}
        secrets |= {(name, secret_id) for name, sub in subs for secret_id in sub.secrets}
        gone = {name for role, name in follower.nodes if role == SENDER} - set(wanted.subs)
        assert {key for key in follower.secrets if key[0] not in gone} == secrets

    def _is_to_come(self, date: float | None) -> bool:
        return date is None or date > self.model.now


def _joined(text: str) -> str:
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def _ordered(texts: dict[str, str]) -> list[tuple[str, str]]:
    return list(canonical.decode(canonical.encode(texts)).items())


def _texts(reader: Any, space: Any) -> list[tuple[str, str]]:
    return [
        (secret_id, open_box(reader.identity, box_from_json(each["secret"])).decode())
        for secret_id, each in space["secrets"].items()
    ]


secret_id = st.sampled_from(IDS)
content = st.sampled_from(TEXTS)
date = st.sampled_from([None, None, 0, -1, 50, 1000, 200_000])
ARGUMENTS: dict[str, tuple[st.SearchStrategy[Any], ...]] = {
    "pass_time": (st.sampled_from([1, 49, 1000, 180_000]),),
    "open": (date,),
    "close": (),
    "set": (secret_id, content),
    "get": (secret_id,),
    "delete": (secret_id,),
    "accept": (date,),
    "refuse": (),
    "share": (secret_id, content, st.booleans()),
    "read": (secret_id,),
    "unshare": (secret_id,),
    "look": (),
}
OFTEN = [*ARGUMENTS, *("set", "share", "read", "look", "accept") * 2]


@st.composite
def steps(draw: st.DrawFn) -> Step:
    """Something that one of the two does."""
    name = draw(st.sampled_from(OFTEN))
    return name, draw(st.integers(0, 1)), tuple(draw(each) for each in ARGUMENTS[name])


@pytest.fixture
def anyio_backend() -> str:
    """One is enough for what the model is about."""
    return "trio"


@settings(
    max_examples=60,
    derandomize=True,
    database=None,
    deadline=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)
@given(history=st.lists(steps(), min_size=10, max_size=30))
async def test_any_history(
    node: Callable[..., Any],
    follow: Callable[[Any], Any],
    clock: Any,
    history: list[Step],
) -> None:
    """Every answer is the model's, and in the end so is everything that can be seen."""
    both = History([node(), node()], clock, follow)
    witness = await node().open_space()
    for one in (0, 1):
        await both.take(("open", one, (None,)))
        await both.take(("accept", one, (None,)))
    for step in history:
        await both.take(step)
    await witness.set("x", "y")
    assert list((await witness.space())["secrets"]) == ["x"]
    for one in (0, 1):
        await both.take(("look", one, ()))
