"""One service at the other end of HTTP: requests with a deadline, tried again where that helps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import anyio
import httpx

from smfs.client.addresses import is_loopback, normalise_url
from smfs.client.answers import Answer, read_answer
from smfs.client.clock import Now, RequestClock, http_date
from smfs.client.embedded import EmbeddedTransport
from smfs.client.retries import ATTEMPTS, Delivery, backoff, retry_after
from smfs.errors import (
    DeadlineExceeded,
    MalformedData,
    ReplayRefused,
    ServiceBusy,
    ServiceUnavailable,
    SmfsError,
    TimestampRefused,
)
from smfs.protocol import canonical, discovery
from smfs.protocol.discovery import Discovery

_JSON: Final = {"content-type": "application/json", "user-agent": "smfs"}
_BUSY: Final = (429, 503)
_NEVER_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)

Compose = Callable[[], tuple[str, bytes]]
"""Makes the path and the body of one attempt; called anew for each, so that each is signed anew."""


@dataclass
class Health:
    """How the connection does, for people to read.

    Attributes:
        connection: `unknown` before the first request, then `connected` or `unreachable`.
        last_error: the last failure in words, or None; never a secret.
        requests, retries, errors: counts since the start.
    """

    connection: str = "unknown"
    last_error: str | None = None
    requests: int = 0
    retries: int = 0
    errors: int = 0

    def failed(self, error: SmfsError) -> None:
        """Notes a failure."""
        self.errors += 1
        self.last_error = f"{type(error).__name__}: {error}"
        if isinstance(error, ServiceUnavailable):
            self.connection = "unreachable"


@dataclass
class _Progress:
    """What the attempts of one request have come to so far."""

    delivery: Delivery
    attempts: int = 0
    resigned: int = 0
    failure: ServiceUnavailable | None = None
    service_now: int | None = None


class Connection:
    """The way to one service.

    Args:
        server_url: where it is, as `normalise_url` takes it.
        transport: what carries the requests instead of a socket.
        deadline: seconds that one request may take, with all its attempts.
        now: the clock of this machine, ms since 1970.

    Attributes:
        url: the address in its normal form.
        clock: the service's time as far as it is known.
        health: how it does.
    """

    def __init__(
        self,
        server_url: str,
        *,
        transport: httpx.AsyncBaseTransport | None,
        deadline: float,
        now: Now,
    ) -> None:
        self.url = normalise_url(server_url)
        self.transport = transport
        self.deadline = deadline
        self.clock = RequestClock(now)
        self.health = Health()
        self._now = now
        self._http: httpx.AsyncClient | None = None
        self._discovery: Discovery | None = None
        self._discovered = False
        self._discovering = anyio.Lock()

    async def aclose(self) -> None:
        """Closes the sockets; the connection opens new ones when it is used again."""
        http, self._http = self._http, None
        if http is not None:
            await http.aclose()

    async def discover(self) -> Discovery | None:
        """What the service says of itself, asked for once; None for an original.

        Raises:
            ServiceUnavailable: when it cannot be reached.
        """
        async with self._discovering:
            if not self._discovered:
                self._discovery = await self._ask_discovery()
                self._discovered = True
        return self._discovery

    @property
    def discovered(self) -> Discovery | None:
        """What `discover` found, without asking; None also while nothing is known."""
        return self._discovery

    @property
    def shown_url(self) -> str:
        """The address for people; `embedded` for a service of this process."""
        return "embedded" if isinstance(self.transport, EmbeddedTransport) else self.url

    @property
    def is_known(self) -> bool:
        """Whether `discover` has found out what the service is."""
        return self._discovered

    async def post(
        self, compose: Compose, delivery: Delivery | None = None, *, secret_id: str = ""
    ) -> Answer:
        """Makes a request, again where that helps, within the deadline.

        Args:
            compose: makes the path and the body of each attempt.
            delivery: told whether an attempt's outcome stayed unknown.
            secret_id: as `texts.error_of` wants it.

        Raises:
            ServiceError: what the service refused it for.
            ServiceUnavailable: when no attempt was answered; DeadlineExceeded when time ran out,
                ServiceBusy when the service kept on asking for a pause.
        """
        progress = _Progress(delivery or Delivery())
        try:
            with anyio.move_on_after(self.deadline):
                return await self._attempts(compose, progress, secret_id)
            raise progress.failure or DeadlineExceeded(self._in_time())
        except SmfsError as error:
            self.health.failed(error)
            raise

    def _in_time(self) -> str:
        return f"the service at {self.url} did not answer within {self.deadline:g} s"

    async def _attempts(self, compose: Compose, progress: _Progress, secret_id: str) -> Answer:
        while True:
            progress.attempts += 1
            try:
                return await self._attempt(compose, progress, secret_id)
            except (TimestampRefused, ReplayRefused) as error:
                await self._sign_anew(error, progress)
            except ServiceUnavailable as error:
                progress.failure = error
                if not self._goes_on(error, progress):
                    raise
                await anyio.sleep(self._pause(error, progress.attempts))
            self.health.retries += 1

    def _goes_on(self, error: ServiceUnavailable, progress: _Progress) -> bool:
        if progress.delivery.lost and not progress.delivery.repeatable:
            return False
        return isinstance(error, ServiceBusy) or progress.attempts < ATTEMPTS

    def _pause(self, error: ServiceUnavailable, attempt: int) -> float:
        asked = error.pause if isinstance(error, _Busy) else None
        return backoff(attempt) if asked is None else asked + backoff(1)

    async def _sign_anew(
        self, error: TimestampRefused | ReplayRefused, progress: _Progress
    ) -> None:
        progress.resigned += 1
        if progress.resigned > 2:
            raise error
        if isinstance(error, ReplayRefused):
            # Every attempt is signed anew: somebody on the way has sent this one twice, and the
            # first of the two may have been carried out.
            progress.delivery.lost = True
            if not progress.delivery.repeatable:
                raise error
        elif not await self._learn_time(progress.service_now):
            raise error

    async def _learn_time(self, told: int | None) -> bool:
        if told is None:
            found = await self._ask_discovery()
            told = found.time if found else None
        return told is not None and self.clock.learn(told)

    async def _attempt(self, compose: Compose, progress: _Progress, secret_id: str) -> Answer:
        path, body = compose()
        response = await self._send("POST", path, body, progress.delivery)
        if response.status_code in _BUSY:
            pause = retry_after(response.headers.get("retry-after"), self._now)
            raise _Busy(f"the service at {self.url} is busy", pause)
        if response.status_code >= 500:
            progress.delivery.lost = True
            raise ServiceUnavailable(f"the service failed with status {response.status_code}")
        progress.service_now = http_date(response.headers.get("date"))
        try:
            return read_answer(response, secret_id)
        except ServiceUnavailable:
            progress.delivery.lost = True
            raise

    async def _send(
        self, method: str, path: str, body: bytes | None, delivery: Delivery
    ) -> httpx.Response:
        self.health.requests += 1
        # A repeatable request may use half of the time, so that a lost packet leaves time for one
        # more attempt.
        timeout = self.deadline / 2 if delivery.repeatable else self.deadline
        try:
            response = await self._client().request(
                method, self.url + path, content=body, headers=_JSON, timeout=timeout
            )
        except _NEVER_SENT as error:
            raise ServiceUnavailable(self._unreachable(error)) from None
        except httpx.TimeoutException:
            delivery.lost = True
            raise DeadlineExceeded(self._in_time()) from None
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            delivery.lost = True
            raise ServiceUnavailable(self._unreachable(error)) from None
        self.health.connection = "connected"
        return response

    def _unreachable(self, error: Exception) -> str:
        return f"the service at {self.url} cannot be reached ({type(error).__name__})"

    def _client(self) -> httpx.AsyncClient:
        if self._http is None:
            self._http = httpx.AsyncClient(
                transport=self.transport,
                follow_redirects=False,
                trust_env=not is_loopback(self.url),
            )
        return self._http

    async def _ask_discovery(self) -> Discovery | None:
        progress = _Progress(Delivery())
        with anyio.move_on_after(self.deadline):
            while True:
                progress.attempts += 1
                try:
                    return self._described(await self._get_discovery())
                except ServiceUnavailable as error:
                    self.health.failed(error)
                    if not self._goes_on(error, progress):
                        raise
                    await anyio.sleep(self._pause(error, progress.attempts))
        raise DeadlineExceeded(self._in_time())

    async def _get_discovery(self) -> httpx.Response:
        response = await self._send("GET", discovery.PATH, None, Delivery())
        if response.status_code in _BUSY:
            pause = retry_after(response.headers.get("retry-after"), self._now)
            raise _Busy(f"the service at {self.url} is busy", pause)
        if response.status_code >= 500:
            raise ServiceUnavailable(f"the service failed with status {response.status_code}")
        return response

    def _described(self, response: httpx.Response) -> Discovery | None:
        if response.status_code != 200:
            return None
        try:
            value: Any = canonical.decode(response.content)
            return Discovery.parse(value)
        except MalformedData:
            # Something else answers at this path: an original behind a server of web pages.
            return None


class _Busy(ServiceBusy):
    def __init__(self, text: str, pause: float | None) -> None:
        super().__init__(text)
        self.pause = pause
