"""The Secret Manager service: an ASGI application over one SQLite file."""

from __future__ import annotations

from smfs.service.app import Service, ServiceOptions, create_service

__all__ = ["Service", "ServiceOptions", "create_service"]
