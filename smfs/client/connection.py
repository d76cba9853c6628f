"""One service at the other end of HTTP: requests with a deadline, tried again where that helps."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

import anyio
import httpx

from smfs.client.addresses import is_loopback, normalise_url
from smfs.client.answers import Answer, check_receipt, read_answer
from smfs.client.clock import Now, RequestClock, http_date
from smfs.client.deadlines import end_of_operation
from smfs.client.embedded import EmbeddedTransport
from smfs.client.incoming import LISTING_BYTES, answer_limit, read_whole
from smfs.client.retries import SIGNINGS, Attempts, Delivery, retry_after
from smfs.client.shared import SharedTurn
from smfs.client.stragglers import Wire
from smfs.client.workers import off_loop
from smfs.errors import (
    DeadlineExceeded,
    MalformedData,
    RefusedWith,
    ReplayRefused,
    ServiceBusy,
    ServiceError,
    ServiceUnavailable,
    SmfsError,
    TimestampRefused,
)
from smfs.protocol import canonical, discovery
from smfs.protocol.discovery import Discovery

T = TypeVar("T")

_HEADERS: Final = {
    "content-type": "application/json",
    "user-agent": "smfs",
    "accept-encoding": "identity",  # a small answer must not become a large one here
}
_DISCOVERY_BYTES: Final = 64 * 1024
_BUSY: Final = (429, 503)
_ORIGINAL_S: Final = 60.0  # for so long who has no description is taken for an original
_SILENCE_S: Final = 1.0  # for so long after a deadline nobody else waits for one
_NEVER_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)

Compose = Callable[[], Wire]
"""Makes the request of one attempt; called anew for each, so that each can be signed anew."""


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
        """Notes a failure; that something is not there is an answer, and none."""
        if isinstance(error, RefusedWith):
            return
        self.errors += 1
        self.last_error = f"{type(error).__name__}: {error}"
        if isinstance(error, ServiceUnavailable):
            self.connection = "unreachable"


class Connection:
    """The way to one service.

    Args:
        server_url: where it is, as `normalise_url` takes it.
        transport: what carries the requests instead of a socket.
        deadline: seconds that one operation may take, with all its requests and their attempts.
        now: the clock of this machine, ms since 1970.

    Attributes:
        url: the address in its normal form.
        clock: the service's time as far as it is known.
        health: how it does.
        is_known: whether `discover` has found out what the service is.
        discovered: what it found; None also while nothing is known.
        when_unavailable: called when a request got no answer, though it was tried several times.
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
        self.is_known = False
        self.discovered: Discovery | None = None
        self._now = now
        self.when_unavailable: Callable[[], None] | None = None
        self._http: httpx.AsyncClient | None = None
        self._under_way = 0
        self._is_retired = False
        self._discovering = SharedTurn()
        self._silent_since = float("-inf")
        self._answered_at = float("-inf")
        self._discovered_at = float("-inf")

    @property
    def shown_url(self) -> str:
        """The address for people; `embedded` for a service of this process."""
        return "embedded" if isinstance(self.transport, EmbeddedTransport) else self.url

    async def aclose(self) -> None:
        """Closes the sockets; the connection opens new ones when it is used again."""
        http, self._http = self._http, None
        if http is not None:
            await http.aclose()

    async def retire(self) -> None:
        """Closes the sockets once the last request under way has ended; none new is expected."""
        self._is_retired = True
        await self._close_if_retired()

    async def _close_if_retired(self) -> None:
        if self._is_retired and not self._under_way:
            with anyio.CancelScope(shield=True):
                await self.aclose()

    async def discover(self) -> Discovery | None:
        """What the service says of itself; None for an original, which is asked again now and then.

        Raises:
            ServiceUnavailable: when it cannot be reached.
        """
        if not self._is_settled:
            async with self._discovering.take():
                if not self._is_settled:
                    self.discovered = await self._ask_discovery(Delivery())
                    self.is_known = True
                    self._discovered_at = anyio.current_time()
        return self.discovered

    def forget(self) -> None:
        """What the service is has to be found out anew."""
        self.is_known = False
        self.discovered = None

    @property
    def _is_settled(self) -> bool:
        if self.discovered is not None:
            return self.is_known
        # The page of a network that wants a password first looks like an original.
        return self.is_known and _is_within(_ORIGINAL_S, self._discovered_at)

    async def post(
        self,
        compose: Compose,
        delivery: Delivery | None = None,
        *,
        secret_id: str = "",
        is_listing: bool = False,
        is_plain: bool = False,
    ) -> Answer:
        """Makes a request, again where that helps, within the deadline of the operation.

        Args:
            compose: makes the request of each attempt.
            delivery: told whether an attempt's outcome stayed unknown.
            secret_id: as `texts.error_of` wants it.
            is_listing: whether the answer may be larger than one secret.
            is_plain: as `read_answer` wants it.

        Raises:
            ServiceError: what the service refused it for.
            ServiceUnavailable: when no attempt was answered; DeadlineExceeded when time ran out,
                ServiceBusy when the service kept on asking for a pause.
        """
        attempts = Attempts(delivery or Delivery())

        async def attempt() -> Answer:
            wire = compose()
            limit = LISTING_BYTES if is_listing else self._answer_bytes()
            response = await self._exchange("POST", wire.path, wire.body, attempts, limit)
            try:
                if wire.receipt and self._gives_receipts:
                    check_receipt(response, wire.receipt)
                answer = await off_loop(
                    len(response.content),
                    lambda: read_answer(response, secret_id, is_plain=is_plain),
                )
            except ServiceUnavailable:
                attempts.delivery.lost = True
                raise
            except ServiceError:
                attempts.delivery.in_doubt = False
                raise
            attempts.delivery.in_doubt = False
            return answer

        return await self._in_time(attempt, attempts)

    async def _in_time(self, attempt: Callable[[], Awaitable[T]], attempts: Attempts) -> T:
        began = anyio.current_time()
        ends_at = end_of_operation()
        if ends_at is None:
            ends_at = began + self.deadline + attempts.delivery.patience
        self._under_way += 1
        try:
            self._check_silence()
            with anyio.CancelScope(deadline=ends_at):
                return await self._repeat(attempt, attempts, ends_at)
            now = anyio.current_time()
            if now - began > self.deadline / 2 and not began <= self._answered_at <= now:
                # Else it is slow, but not silent: earlier requests took most of the time, or
                # others were answered meanwhile.
                self._silent_since = now
            raise attempts.failure or self._too_late()
        except SmfsError as error:
            self.health.failed(error)
            is_news = isinstance(error, ServiceUnavailable) and attempts.delivery.tries > 1
            if is_news and self.when_unavailable is not None:
                self.when_unavailable()
            raise
        finally:
            self._under_way -= 1
            await self._close_if_retired()

    def too_late(self) -> DeadlineExceeded:
        """What an operation ends in when its time is over."""
        error = self._too_late()
        self.health.failed(error)
        return error

    def _check_silence(self) -> None:
        """Raises DeadlineExceeded right after a request that nobody answered.

        The kernel looks names up one after the other, and twice where the first answer was an
        error: each of them would wait the whole deadline.
        """
        if _is_within(_SILENCE_S, self._silent_since):
            raise self._too_late()

    async def _repeat(
        self, attempt: Callable[[], Awaitable[T]], attempts: Attempts, ends_at: float
    ) -> T:
        while True:
            attempts.count += 1
            try:
                return await attempt()
            except (TimestampRefused, ReplayRefused) as error:
                await self._prepare_to_sign_anew(error, attempts)
            except ServiceUnavailable as error:
                attempts.failure = error
                wait = attempts.wait(ends_at - anyio.current_time())
                if wait is None:
                    raise
                await anyio.sleep(wait)
            self.health.retries += 1

    async def _prepare_to_sign_anew(
        self, error: TimestampRefused | ReplayRefused, attempts: Attempts
    ) -> None:
        delivery = attempts.delivery
        attempts.signed_anew += 1
        if not delivery.renewable:
            raise error
        if isinstance(error, TimestampRefused):
            is_hopeful = await self._learn_time(attempts)
        else:
            # Every attempt is signed anew: somebody on the way has sent this one twice, and the
            # first of the two may have been carried out.
            delivery.lost = True
            is_hopeful = delivery.repeatable
        if not is_hopeful or attempts.signed_anew >= SIGNINGS:
            raise error

    async def _learn_time(self, attempts: Attempts) -> bool:
        told = attempts.service_now
        if told is None:
            found = await self._ask_discovery(Delivery())
            told = found.time if found else None
        return told is not None and self.clock.learn(told)

    async def _exchange(
        self, method: str, path: str, body: bytes | None, attempts: Attempts, limit: int
    ) -> httpx.Response:
        response = await self._send(method, path, body, attempts.delivery, limit)
        status, headers = response.status_code, response.headers
        attempts.service_now = http_date(headers.get("date"))
        if status in _BUSY:
            attempts.pause = retry_after(headers.get("retry-after"), self._now)
            if attempts.pause is None:
                # Who has done nothing says when to come back.
                attempts.delivery.lost = True
            raise ServiceBusy(f"the service at {self.shown_url} is busy (status {status})")
        if status >= 500:
            attempts.delivery.lost = True
            raise ServiceUnavailable(f"the service at {self.shown_url} failed (status {status})")
        return response

    async def _send(
        self, method: str, path: str, body: bytes | None, delivery: Delivery, limit: int
    ) -> httpx.Response:
        http = self._client()
        self.health.requests += 1
        # Half of the time, so that a lost packet leaves some for one more attempt.
        timeout = self.deadline / 2 if delivery.repeatable else self.deadline
        timeout += delivery.patience
        was_lost, delivery.lost = delivery.lost, True  # until the answer is here
        was_in_doubt, delivery.in_doubt = delivery.in_doubt, True
        try:
            async with http.stream(
                method, self.url + path, content=body, headers=_HEADERS, timeout=timeout
            ) as incoming:
                response = await read_whole(incoming, limit)
        except _NEVER_SENT as error:
            delivery.lost, delivery.in_doubt = was_lost, was_in_doubt
            raise self._unreachable(error) from None
        except httpx.TimeoutException:
            raise self._too_late() from None
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            raise self._unreachable(error) from None
        delivery.lost = was_lost
        self._answered_at, self._silent_since = anyio.current_time(), float("-inf")
        self.health.connection = "connected"
        return response

    @property
    def _gives_receipts(self) -> bool:
        return self.discovered is not None and discovery.RECEIPT in self.discovered.features

    def _answer_bytes(self) -> int:
        found = self.discovered
        if not self.is_known:
            return LISTING_BYTES
        return answer_limit(found.content_bytes if found else 0)

    def _client(self) -> httpx.AsyncClient:
        if self._http is None:
            try:
                self._http = httpx.AsyncClient(
                    transport=self.transport,
                    follow_redirects=False,
                    trust_env=not is_loopback(self.url),
                )
            except (ImportError, ValueError, OSError) as error:
                raise ServiceUnavailable(
                    "the proxy or the certificates that the environment names cannot be used"
                    f" ({type(error).__name__}): HTTP_PROXY, ALL_PROXY, SSL_CERT_FILE, and the like"
                ) from None
        return self._http

    async def _ask_discovery(self, delivery: Delivery) -> Discovery | None:
        attempts = Attempts(delivery)

        async def attempt() -> Discovery | None:
            return _described(
                await self._exchange("GET", discovery.PATH, None, attempts, _DISCOVERY_BYTES)
            )

        return await self._in_time(attempt, attempts)

    def _too_late(self) -> DeadlineExceeded:
        return DeadlineExceeded(
            f"the service at {self.shown_url} did not answer within {self.deadline:g} s"
        )

    def _unreachable(self, error: Exception) -> ServiceUnavailable:
        return ServiceUnavailable(
            f"the service at {self.shown_url} cannot be reached ({type(error).__name__})"
        )


def _is_within(seconds: float, since: float) -> bool:
    """Whether a moment is so short a time ago; it may be another event loop's, with its clock."""
    return 0 <= anyio.current_time() - since < seconds


def _described(response: httpx.Response) -> Discovery | None:
    if response.status_code != 200:
        return None
    try:
        return Discovery.parse(canonical.decode(response.content))
    except MalformedData:
        # Something else answers at this path: an original behind a server of web pages.
        return None
