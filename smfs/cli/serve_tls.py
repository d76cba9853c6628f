"""TLS of `smfs serve`: a certificate and its key, which can be renewed while it runs."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path
from typing import Final

from smfs.cli.serve_options import ServeSettings
from smfs.errors import ConfigError

_log: Final = logging.getLogger(__name__)


class Tls:
    """A certificate that is in use.

    Args:
        certificate: the chain, PEM.
        key: the private key, PEM, not encrypted.

    Attributes:
        context: for the listener.

    Raises:
        ConfigError: when the two cannot be used.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        self._certificate = certificate
        self._key = key
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.set_alpn_protocols(["http/1.1"])
        _load(self.context, certificate, key)
        if key.stat().st_mode & 0o007:
            _log.warning("others can read or change the TLS key %s", key)

    def reload(self) -> None:
        """Takes what is in the files now; where that cannot be used, what it has stays."""
        try:
            # A failure in the middle would leave the new certificate with the old key.
            _load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), self._certificate, self._key)
            _load(self.context, self._certificate, self._key)
        except ConfigError as error:
            _log.error("the old TLS certificate stays: %s", error)
        else:
            _log.info("the TLS certificate was read again")


def loaded_tls(settings: ServeSettings) -> Tls | None:
    """What the settings name for TLS; ConfigError when it cannot be used."""
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    return Tls(settings.tls_cert, settings.tls_key)


def _load(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    for path in (certificate, key):
        try:
            path.open("rb").close()
        except OSError as error:
            raise ConfigError(f"cannot read {path}: {error.strerror}") from None

    def refuse() -> str:
        raise ConfigError(f"the TLS key {key} is encrypted")

    try:
        context.load_cert_chain(certificate, key, password=refuse)
    except ssl.SSLError as error:
        raise ConfigError(_told(error, certificate, key)) from None


def _told(error: ssl.SSLError, certificate: Path, key: Path) -> str:
    if error.reason == "KEY_VALUES_MISMATCH":
        return f"the TLS key {key} is not that of the certificate {certificate}"
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(certificate)
    except ssl.SSLError:
        return f"{certificate} holds no certificate (PEM)"
    reason = (error.reason or "unknown").lower().replace("_", " ")
    return f"{key} holds no private key (PEM) that can be used: {reason}"
