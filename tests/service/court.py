"""What must hold after any request whatsoever: of its answer, of the others, and of the logs."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from smfs.errors import ServiceError
from smfs.protocol import canonical, requests, texts

CANARY: Final = "canary-7f3c1e"
"""Stands in every secret text that is sent: it is found in no log and in no error."""

STATUSES: Final = frozenset({200, 400, 401, 404, 413, 415})
_PAGE: Final = re.compile(
    r'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>Error</title>\n'
    r"</head>\n<body>\n<pre>(Bad Request|Payload Too Large|Unsupported Media Type|Cannot [^<>]*)"
    r"</pre>\n</body>\n</html>\n"
)
_OF_THE_PROGRAM: Final = re.compile(
    r"Traceback|sqlite|psycopg|smfs[./]|\.py\b|object at 0x|<class|NoneType|Exception|codec can't"
)
_SECRET_FIELDS: Final = re.compile(r'"(?:signature|authCode|first)"\s*:\s*"([0-9a-fA-F]{16,})"')


@dataclass(repr=False)
class Court:
    """Looks at a service from the side of those who had nothing to do with a request.

    Attributes:
        parties: the nodes that the bad requests may be about.
        witness: a node that nobody else's request is about.
        caplog: all that is logged.
    """

    parties: list[Any]
    witness: Any
    caplog: pytest.LogCaptureFixture
    _kept: dict[str, str] = field(default_factory=dict)
    _before: list[Any] = field(default_factory=list)
    _asked: int = 0

    async def open(self) -> None:
        """Everybody has a space and accepts the other parties, whatever happened to them."""
        if self._before:
            return
        for party in self.parties:
            await party.open_space()
            for other in self.parties:
                if other is not party:
                    await party.accept(other)
        self._before = [await _state(party) for party in self.parties]
        self.caplog.clear()

    async def judge(self, answer: Any, sent: bytes) -> None:
        """After one request.

        Args:
            answer: what it was answered.
            sent: its body as it would be without any encoding.
        """
        shown = sent.decode("utf-8", "replace")
        self._judge_form(answer)
        self._judge_words(answer, shown)
        self._judge_logs(shown)
        if _error(answer) is not None:
            assert [await _state(party) for party in self.parties] == self._before
        else:
            self._before = []
        await self._ask_the_witness()

    def _judge_form(self, answer: Any) -> None:
        assert answer.status in STATUSES, answer
        assert answer.headers["content-length"] == str(len(answer.body))
        kind = answer.headers["content-type"]
        if kind == "application/json; charset=utf-8":
            value = answer.json
            assert isinstance(value, dict)
            assert canonical.encode(value) == answer.text
            assert answer.status in {200, 400, 401}
            assert (list(value) == ["error"]) or answer.status == 200
        else:
            assert kind == "text/html; charset=utf-8"
            assert _PAGE.fullmatch(answer.text) or (answer.status, answer.body) == (200, b"POST")

    def _judge_words(self, answer: Any, sent: str) -> None:
        found = _OF_THE_PROGRAM.search(answer.text)
        assert found is None or found[0] in sent, answer
        words = _error(answer)
        if not words:
            return
        assert not any(secret in answer.text for secret in _secrets(sent)), answer
        if answer.status == 400:
            assert re.match("Error: (The Number|parameter @|unexpected format) ", words)
        else:
            assert words.startswith(texts.AUTHENTICATION_PREFIX) == (answer.status == 401)
            error = texts.error_of(words)
            assert type(error) is not ServiceError, answer
            assert "the service refused" not in str(error), answer

    def _judge_logs(self, sent: str) -> None:
        text = self.caplog.text
        assert not any(record.levelno >= logging.ERROR for record in self.caplog.records), text
        assert not any(secret in text for secret in _secrets(sent)), text
        self.caplog.clear()

    async def _ask_the_witness(self) -> None:
        self._asked += 1
        secret_id, text = f"{self._asked % 5}", f"{CANARY} {self._asked}"
        await self.witness.set(secret_id, text)
        self._kept[secret_id] = text
        assert await self.witness.get(secret_id) == text
        space = await self.witness.space()
        assert (list(space["secrets"]), space["subSpaces"]) == (sorted(self._kept), {})
        assert CANARY not in self.caplog.text


def _error(answer: Any) -> str | None:
    """The words of a refusal, none for a page; None where it went well."""
    if answer.headers["content-type"].startswith("application/json"):
        error: str | None = answer.error
        return error
    return None if answer.status == 200 else ""


def _secrets(sent: str) -> list[str]:
    # What stands in another field, too, may be shown because of that one.
    return [CANARY, *(each for each in _SECRET_FIELDS.findall(sent) if sent.count(each) == 1)]


async def _state(party: Any) -> Any:
    """All that a node can see of its space; None where it has none."""
    answer = await party.ask(requests.GetSecretSpace)
    if answer.error is not None:
        return None
    space = canonical.decode(answer.opened(party.identity))
    feed = await party.do(
        requests.GetChanges, feed="", since=0, listing=False, contents=True, wait=0
    )
    return space, canonical.decode(feed.opened(party.identity))
