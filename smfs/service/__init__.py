"""The Secret Manager service: an ASGI application over one database."""

from __future__ import annotations

from smfs.service.app import Service, create_service
from smfs.service.options import ServiceOptions

__all__ = ["Service", "ServiceOptions", "create_service"]
