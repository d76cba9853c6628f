"""One identity at one service, for as long as a command runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Final, TypeVar

from smfs.cli.logs import log_to
from smfs.cli.output import read_content

if TYPE_CHECKING:
    from smfs.client.cache import Cache
    from smfs.client.client import Client
    from smfs.client.view import View
    from smfs.config import Settings
    from smfs.crypto.identity import Identity

_Result = TypeVar("_Result")

# The embedded service has no address; the client wants one all the same. The name is one that can
# never be looked up (RFC 6761).
_EMBEDDED_URL: Final = "http://embedded.invalid"


def content_to_store(settings: Settings) -> bytes:
    """The content that comes on standard input; the profile is looked for before it is read.

    Raises:
        ConfigError: when the profile cannot be used.
        TooLarge: when it is more than any service takes that the settings can name.
    """
    from smfs.crypto.keyfile import load_key
    from smfs.protocol.limits import DEFAULT_CONTENT_BYTES, LARGEST_CONTENT_BYTES

    load_key(settings.key_file)
    is_embedded = settings.service is None
    return read_content(DEFAULT_CONTENT_BYTES if is_embedded else LARGEST_CONTENT_BYTES)


def run_with_view(settings: Settings, work: Callable[[View], Awaitable[_Result]]) -> _Result:
    """Runs `work` with the view of the profile's space, and returns what it returns.

    Raises:
        SmfsError: what `work` raises; ConfigError when the profile cannot be used.
    """
    log_to(settings.log_file)
    import trio

    from smfs.crypto.keyfile import load_key

    identity = load_key(settings.key_file)

    async def run() -> _Result:
        async with open_view(settings, identity) as view:
            return await work(view)

    return trio.run(run)


def open_space(settings: Settings, auth_code: str) -> None:
    """Opens the space of a profile by a code of the service's operator.

    Raises:
        SmfsError: when the service refuses, or the profile cannot be used.
    """
    log_to(settings.log_file)
    import trio

    from smfs.crypto.keyfile import load_key

    identity = load_key(settings.key_file)

    async def run() -> None:
        async with _client(settings, identity, auth_code) as client:
            await client.ready

    trio.run(run)


@asynccontextmanager
async def open_view(
    settings: Settings, identity: Identity, *, for_mount: bool = False
) -> AsyncIterator[View]:
    """The view of an identity's space; the embedded service runs as long as it is open.

    Args:
        settings: whose space, at which service.
        identity: of the profile.
        for_mount: whether what is known is kept on disk, where the settings say so.
    """
    from smfs.client.versions import RequireSignatures
    from smfs.client.view import View

    async with _client(settings, identity) as client:
        yield View(
            client,
            require_signatures=RequireSignatures(own=not settings.allow_unsigned),
            max_stale=settings.max_stale,
            cache=_cache_of(settings, client) if for_mount and settings.cache else None,
        )


@asynccontextmanager
async def _client(
    settings: Settings, identity: Identity, auth_code: str | None = None
) -> AsyncIterator[Client]:
    from smfs.client.client import create_client

    async with AsyncExitStack() as stack:
        transport = None
        if settings.service is None:
            from smfs.client.embedded import embedded_transport
            from smfs.service import create_service

            service = create_service(settings.directories.database)
            transport = embedded_transport(await stack.enter_async_context(service))
        client = create_client(
            settings.service or _EMBEDDED_URL,
            identity.secret_key_hex,
            identity.node_id,
            auth_code=auth_code,
            transport=transport,
            deadline=settings.deadline,
        )
        yield await stack.enter_async_context(client)


def _cache_of(settings: Settings, client: Client) -> Cache:
    from smfs.client.cache import Cache

    return Cache(settings.cache_file, client.identity, service=client.connection.shown_url)
