"""Hooks in a network in which every address answers: only the public ones are ever called."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.service.hook_world import PUBLIC, PUBLIC_6

ROOT = Path(__file__).parents[2]
PATIENCE_S = 120
PROXIES = {
    name: "http://10.0.0.1:80"
    for each in ("http_proxy", "https_proxy", "all_proxy")
    for name in (each, each.upper())
}

PRIVATE = (
    *("127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1"),
    *("017700000001", "127.0.0.1.", "127.0.0.1:80", "127.000.000.001", "0", "0.0.0.0"),
    *("127.255.255.254", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]"),
    *("[64:ff9b::7f00:1]", "[64:ff9b::127.0.0.1]", "[2002:7f00:1::1]", "[fd00::1]", "[fe80::1]"),
    *("[fe80::1%lo]", "[fe80::1%25lo]", "[fe80::1%1]", "localhost", "localhost.", "LOCALHOST"),
    *("10.0.0.1", "192.168.1.1", "167772161", "012.1", "169.254.169.254", "2852039166"),
    *("0xa9fea9fe", "0251.0376.0251.0376", "[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]"),
    *("user:word@127.0.0.1", f"{PUBLIC}@127.0.0.1", f"{PUBLIC}:80@10.0.0.1", f"@{PUBLIC}@10.0.0.1"),
    *(f"127.0.0.1#@{PUBLIC}", f"127.0.0.1?@{PUBLIC}", f"127.0.0.1\\@{PUBLIC}", "127.0.0.1%00"),
    *("\uff11\uff12\uff17.0.0.1", "127\u30020\u30020\u30021", "\u24db\u24deca\u24dbhost"),
    *("private.test", "private.test.", "loop.test", "loop6.test", "metadata.test", "mapped.test"),
    *("nat64.test", "local6.test", "alias.test", "PRIVATE.TEST", "unknown.test"),
)
REACHED = {
    f"http://{PUBLIC}/x": [f"{PUBLIC} /x"],
    f"http://[{PUBLIC_6}]/x": [f"{PUBLIC_6} /x"],
    "http://public.test/x": [f"{PUBLIC} /x"],
    "http://public6.test/x": [f"{PUBLIC_6} /x"],
    f"http://user:word@{PUBLIC}/x": [f"{PUBLIC} /x"],
    "http://both.test/x": [f"{PUBLIC} /x"],
    f"http://{PUBLIC}/a?status=302&to=/b": [f"{PUBLIC} /a", f"{PUBLIC} /b"],
    f"http://{PUBLIC}/a?status=307&to=//public6.test/b": [f"{PUBLIC} /a", f"{PUBLIC_6} /b"],
}
ELSEWHERE = (
    *("http://127.0.0.1/b", "//127.0.0.1/b", "//10.0.0.1/b", "http://private.test/b"),
    *("http://169.254.169.254/latest/meta-data", "//[::1]/b", "//localhost/b", "http:////10.0.0.1"),
    *("file:///etc/passwd", "ftp://10.0.0.1/b", "gopher://10.0.0.1:80/b", "\\\\10.0.0.1\\b"),
    *("https://10.0.0.1:80/b", "data:,{}", "http://2130706433/b", "http://[::ffff:10.0.0.1]/b"),
)
REDIRECTED = {
    f"http://{PUBLIC}/a?status={status}&to={to.replace('%', '%25').replace('&', '%26')}"
    for to in ELSEWHERE
    for status in (301, 302, 303, 307, 308)
}
ENDLESS = [
    f"http://{PUBLIC}/endless?of={what}"
    for what in ("body", "chunks", "headers", "status", "interim", "drip")
]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What each URL led to; all are called by one service."""
    home = tmp_path_factory.mktemp("world")
    urls = [f"http://{host}/x" for host in PRIVATE] + [*REACHED, *sorted(REDIRECTED), *ENDLESS]
    world = subprocess.run(
        [
            *("unshare", "--map-root-user", "--mount", "--net", sys.executable),
            *("-m", "tests.service.hook_world", home),
        ],
        input=json.dumps(urls),
        cwd=ROOT,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **PROXIES},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert world.returncode == 0, world.stderr
    outcome: dict[str, Any] = json.loads((home / "found.json").read_text())
    return outcome


def _is_refused(outcome: Any) -> bool:
    error: str = outcome["error"] or ""
    return "Network Error: fetch failed" in error or "Network Error: Failed to parse URL" in error


@pytest.mark.parametrize("host", PRIVATE, ids=ascii)
def test_nothing_private_is_called(found: dict[str, Any], host: str) -> None:
    """By no spelling and by no name; nor by way of a proxy that the environment names."""
    outcome = found[f"http://{host}/x"]
    hosts = {each.split()[0] for each in outcome["reached"]}
    # A URL may be read in more than one way, as long as its address is looked at afterwards.
    assert (hosts, _is_refused(outcome)) in ((set(), True), ({PUBLIC}, False))


@pytest.mark.parametrize("url", REACHED)
def test_what_is_public_is_called(found: dict[str, Any], url: str) -> None:
    """And of several addresses of a name only the public ones are."""
    assert found[url] == {"error": None, "reached": REACHED[url]}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_leads_to_a_private_place(found: dict[str, Any], status: int) -> None:
    """Whatever form it has: it is looked at like a URL that somebody gave."""
    outcomes = {url: found[url] for url in REDIRECTED if f"status={status}&" in url}
    assert len(outcomes) == len(ELSEWHERE)
    for url, outcome in outcomes.items():
        hosts = {each.split()[0] for each in outcome["reached"]}
        assert (hosts, _is_refused(outcome)) == ({PUBLIC}, "\\" not in url), url


def test_a_name_that_moves_leads_nowhere(found: dict[str, Any]) -> None:
    """It is asked for once for each call; once it is a private one, nobody is called."""
    moving = found["moving"]
    assert moving["first"] == {"error": None, "reached": [f"{PUBLIC} /"]}
    assert moving["asked"] == 1
    assert moving["then"] == []
    assert "Network Error: fetch failed" in moving["error"]


@pytest.mark.parametrize("url", ENDLESS)
def test_an_answer_without_end_is_given_up(found: dict[str, Any], url: str) -> None:
    """The connection is closed, or the listener would still be at it and nothing were found."""
    assert found[url]["reached"] == [f"{PUBLIC} /endless"]
    assert "Notification Check on" in found[url]["error"]
