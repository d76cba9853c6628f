"""Programs that read secrets from files."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.mount.homes import Home


def test_ssh_keygen_reads_a_private_key(home: Home, folder: Path) -> None:
    """It refuses a key whose mode lets others read it."""
    outside = home.make("ssh")
    home.do("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "me", "-f", outside / "key")
    home.do("cp", outside / "key", folder / "id_ed25519")

    public = home.do("ssh-keygen", "-y", "-f", folder / "id_ed25519")

    assert public == home.do("cat", outside / "key.pub")


def test_ssh_keygen_makes_its_key_in_the_mount(home: Home, folder: Path) -> None:
    """Private and public key side by side."""
    home.do("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "me", "-f", folder / "id")

    assert home.do("ssh-keygen", "-y", "-f", folder / "id") == home.do("cat", folder / "id.pub")


@pytest.fixture
def greeter() -> Iterator[tuple[str, list[str]]]:
    """An HTTP server, and the authorizations that it was shown."""
    shown: list[str] = []

    class Greeter(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            shown.append(self.headers.get("Authorization", ""))
            self.send_response(200)
            self.send_header("Content-Length", "5")
            self.end_headers()
            self.wfile.write(b"hello")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as inherited
            """Says nothing."""

    with http.server.HTTPServer(("127.0.0.1", 0), Greeter) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/", shown
        server.shutdown()
        serving.join()


def test_curl_reads_its_options(home: Home, folder: Path, greeter: tuple[str, list[str]]) -> None:
    """`curl -K` takes the address and the token from a secret."""
    address, shown = greeter
    options = f'silent\nurl = "{address}"\nheader = "Authorization: Bearer t0ken"\n'
    home.do("tee", folder / "curlrc", stdin=options.encode())

    assert home.do("curl", "-K", folder / "curlrc") == b"hello"
    assert shown == ["Bearer t0ken"]


def test_a_shell_sources_an_environment(home: Home, folder: Path) -> None:
    """`source .env`."""
    home.do("tee", folder / ".env", stdin=b"TOKEN='a b'\nexport OTHER=c\n")

    outcome = home.bash("source ./.env && echo $TOKEN && printenv OTHER", cwd=folder)

    assert (outcome.code, outcome.out) == (0, b"a b\nc\n")


def test_openssl_reads_and_writes_a_key(home: Home, folder: Path) -> None:
    """`openssl rsa -in` of a key that openssl made in the mount."""
    home.do("openssl", "genrsa", "-out", folder / "key.pem", "2048")

    home.do("openssl", "rsa", "-in", folder / "key.pem", "-check", "-noout")
    public = home.do("openssl", "rsa", "-in", folder / "key.pem", "-pubout")

    assert public.startswith(b"-----BEGIN PUBLIC KEY-----")


def test_configparser_reads_a_file(home: Home, folder: Path) -> None:
    """Python programs with an INI file."""
    home.do("tee", folder / "app.ini", stdin=b"[database]\npassword = hunter2\n")
    script = (
        "import configparser as c; p = c.ConfigParser(); "
        "assert p.read('app.ini') == ['app.ini']; print(p['database']['password'])"
    )

    assert home.do("python3", "-c", script, cwd=folder) == b"hunter2\n"


def test_grep_and_find(home: Home, folder: Path) -> None:
    """A search through many secrets."""
    home.bash("for i in $(seq 20); do echo number $i >f$i; done", cwd=folder)

    assert home.do("grep", "-rlx", "number 17", ".", cwd=folder) == b"./f17\n"
    assert len(home.do("find", ".", "-type", "f", cwd=folder).split()) == 20


def test_mmap(home: Home, folder: Path) -> None:
    """A file can be mapped for reading."""
    home.do("tee", folder / "f", stdin=b"mapped content")
    script = """
import mmap
with open("f", "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
    print(mapped[:6].decode())
"""

    assert home.do("python3", "-c", script, cwd=folder) == b"mapped\n"
