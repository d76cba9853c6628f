"""TLS of `smfs serve`, with certificates that openssl made."""

from __future__ import annotations

import signal
import socket
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from smfs.cli.serve_tls import Tls
from smfs.errors import ConfigError
from tests.cli.serving import make_certificate

if TYPE_CHECKING:
    from tests.cli.conftest import Program

PATIENCE = 60.0
REQUEST = b"GET /.well-known/smfs HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def options(directory: Path) -> tuple[str, ...]:
    """To serve with the certificate of a directory."""
    database = directory / "service.db"
    certificate = (f"--tls-cert={directory / 'cert.pem'}", f"--tls-key={directory / 'key.pem'}")
    return ("serve", "--listen", "127.0.0.1:0", "--db", str(database), *certificate)


def port_of(address: str) -> int:
    """The port of a URL."""
    return int(address.rpartition(":")[2])


def spoken(address: str, context: ssl.SSLContext) -> tuple[bytes, str, str | None]:
    """A status line, the common name of the certificate, and the version of TLS."""
    with (
        socket.create_connection(("127.0.0.1", port_of(address)), PATIENCE) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as secured,
    ):
        secured.sendall(REQUEST)
        answer = b""
        while data := secured.recv(65536):
            answer += data
        certificate: Any = secured.getpeercert()
        subject = dict(field[0] for field in certificate["subject"])
        return answer.split(b"\r\n")[0], subject["commonName"], secured.version()


def trusting(directory: Path) -> ssl.SSLContext:
    """A client's context that trusts what is in a directory now."""
    return ssl.create_default_context(cafile=str(directory / "cert.pem"))


@pytest.mark.parametrize("workers", ["1", "2"])
def test_it_speaks_tls_and_takes_a_renewed_certificate(program: Program, workers: str) -> None:
    """After SIGHUP; with one that cannot be used, the old one goes on."""
    directory = program.home / "tls"
    make_certificate(directory, "first")
    with program.running(*options(directory), "--workers", workers) as process:
        address = program.address_of(process)
        assert address.startswith("https://127.0.0.1:")
        old = trusting(directory)
        assert spoken(address, old) == (b"HTTP/1.1 200 OK", "first", "TLSv1.3")

        assert process.stderr is not None
        make_certificate(directory, "second")
        process.send_signal(signal.SIGHUP)
        for _ in range(int(workers)):
            assert b"read again" in process.stderr.readline()
        new = trusting(directory)
        assert spoken(address, new)[1] == "second"
        with pytest.raises(ssl.SSLCertVerificationError):
            spoken(address, old)

        (directory / "key.pem").write_text("")
        process.send_signal(signal.SIGHUP)
        for _ in range(int(workers)):
            assert b"the old TLS certificate stays" in process.stderr.readline()
        assert spoken(address, new)[1] == "second"

        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0


def test_it_speaks_nothing_older_than_1_2(program: Program) -> None:
    """And nothing but TLS; the next one is served."""
    directory = program.home / "tls"
    make_certificate(directory, "first")
    with program.running(*options(directory)) as process:
        address = program.address_of(process)
        context = trusting(directory)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        assert spoken(address, context)[2] == "TLSv1.2"

        context = trusting(directory)
        with pytest.warns(DeprecationWarning, match="TLSv1_1 is deprecated"):
            context.minimum_version = ssl.TLSVersion.TLSv1_1
        with pytest.warns(DeprecationWarning, match="TLSv1_1 is deprecated"):
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        with pytest.raises(ssl.SSLError):
            spoken(address, context)

        with socket.create_connection(("127.0.0.1", port_of(address)), PATIENCE) as plain:
            plain.sendall(REQUEST)
            assert b"HTTP" not in plain.recv(65536)
        assert spoken(address, trusting(directory))[0] == b"HTTP/1.1 200 OK"

        process.send_signal(signal.SIGTERM)
        # Anybody may fail as often as he likes: the log is not for that.
        assert process.communicate(timeout=PATIENCE)[1] == b""


def test_what_cannot_be_used_is_told(tmp_path: Path) -> None:
    """Which file it is, and what is wrong with it."""
    one, other, locked = tmp_path / "one", tmp_path / "other", tmp_path / "locked"
    make_certificate(one, "one")
    make_certificate(other, "other")
    make_certificate(locked, "locked", password="geheim")
    empty = tmp_path / "empty.pem"
    empty.touch()
    cert, key = one / "cert.pem", one / "key.pem"

    Tls(cert, key)
    for certificate, private, told in (
        (tmp_path / "none.pem", key, "cannot read .*none.pem: No such file"),
        (cert, tmp_path / "none.pem", "cannot read .*none.pem: No such file"),
        (cert, tmp_path, "cannot read .*: Is a directory"),
        (cert, other / "key.pem", "other/key.pem is not that of the certificate .*one/cert.pem"),
        (locked / "cert.pem", locked / "key.pem", "locked/key.pem is encrypted"),
        (empty, key, "empty.pem holds no certificate"),
        (key, key, "key.pem holds no certificate"),
        (cert, empty, "empty.pem holds no private key"),
        (cert, cert, "cert.pem holds no private key"),
    ):
        with pytest.raises(ConfigError, match=told):
            Tls(certificate, private)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_start_without_a_certificate_fails_in_one_line(program: Program, workers: str) -> None:
    """Exit code 2, however many workers there would be."""
    outcome = program(*options(program.home), "--workers", workers)
    assert outcome.code == 2
    assert outcome.err == f"smfs: cannot read {program.home}/cert.pem: No such file or directory\n"


def test_a_key_that_others_can_read_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is used: some operators cannot help it."""
    make_certificate(tmp_path, "one")
    (tmp_path / "key.pem").chmod(0o644)
    Tls(tmp_path / "cert.pem", tmp_path / "key.pem")
    assert "others can read" in caplog.text
