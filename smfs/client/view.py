"""The view: what this node knows of its space, one truth between the files and the wire."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from smfs.client.client import Client
from smfs.client.versions import Reading, RequireSignatures, Sender, Version

__all__ = ["Reading", "RequireSignatures", "Sender", "Version", "View"]


class View:
    """Signatures first; the substance follows."""

    client: Client
    node_id: str

    def __init__(
        self,
        client: Client,
        *,
        ttl: float = 5.0,
        require_signatures: RequireSignatures = RequireSignatures(),
    ) -> None: ...

    async def refresh(self, max_age: float | None = None) -> None: ...
    def own(self) -> Mapping[str, Version]: ...  # type: ignore[empty-body]
    def sent(self) -> Mapping[str, Mapping[str, Version]]: ...  # type: ignore[empty-body]
    def senders(self) -> Mapping[str, Sender]: ...  # type: ignore[empty-body]
    async def read_own(self, secret_id: str) -> Reading: ...  # type: ignore[empty-body]
    async def write_own(self, secret_id: str, content: bytes) -> Version: ...  # type: ignore[empty-body]
    async def delete_own(self, secret_id: str) -> None: ...
    async def check_own(self, secret_id: str) -> Version | None: ...
    async def read_from(self, node_id: str, secret_id: str) -> Reading: ...  # type: ignore[empty-body]
    async def consume(self, node_id: str, secret_id: str) -> Reading: ...  # type: ignore[empty-body]
    async def accept(self, node_id: str, closure_date: int | None) -> None: ...
    async def deny(self, node_id: str) -> None: ...
    async def read_sent(self, node_id: str, secret_id: str) -> Reading: ...  # type: ignore[empty-body]
    async def share(  # type: ignore[empty-body]
        self, node_id: str, secret_id: str, content: bytes, *, one_time: bool = False
    ) -> Version: ...
    async def unshare(self, node_id: str, secret_id: str) -> None: ...
    async def check_share(self, node_id: str, secret_id: str, size: int = 0) -> None: ...
    def content_limit(self) -> int: ...  # type: ignore[empty-body]
    def check_size(self, content: bytes) -> None: ...
    def state(self) -> dict[str, Any]: ...  # type: ignore[empty-body]
