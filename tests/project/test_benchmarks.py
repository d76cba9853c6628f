"""The benchmarks run, say what they should, and what the texts quote is what was measured."""

import json
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "scripts"
DOCS = ROOT / "docs"
PATIENCE = 300.0


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs a program that must succeed."""
    arguments = [str(each) for each in command]
    return subprocess.run(arguments, check=True, capture_output=True, text=True, timeout=PATIENCE)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The figures of a quick run of one case."""
    file = tmp_path_factory.mktemp("bench") / "figures.json"
    run(SCRIPTS / "bench", "--quick", "--only", "read", "--json", file)
    return file


def test_a_quick_run_measures_every_mount(measured: Path) -> None:
    """Each mount has its row beside the floor, with what the design asks of it."""
    report = json.loads(measured.read_text())

    rows = {row["subject"]: row for row in report["rows"]}
    assert report["broken"] == []
    assert rows["floor"]["ratio"] == 1.0
    assert {"embedded", "http", "http + 5 ms", "http + 50 ms"} <= rows.keys()
    assert all(row["count"] > 0 and row["median"] <= row["p95"] for row in rows.values())
    assert [budget["limit"] for budget in rows["embedded"]["budgets"]] == [1.3]
    assert "requests" in rows["http + 5 ms"]


def test_figures_tell_no_names_of_the_machine(measured: Path) -> None:
    """Neither a host nor a path is in what is published."""
    for text in (measured.read_text(), (DOCS / "benchmarks.json").read_text()):
        assert str(Path.home()) not in text
        assert "/tmp" not in text


def test_a_picture_is_drawn_of_them(measured: Path, tmp_path: Path) -> None:
    """The picture is well formed and names what was measured."""
    picture = tmp_path / "picture.svg"

    run(SCRIPTS / "bench-picture", measured, picture)

    texts = [text.strip() for text in ET.parse(picture).getroot().itertext()]
    assert {"floor", "embedded", "read, seen before"} <= set(texts)


def test_an_unknown_case_is_refused() -> None:
    """A wrong name ends the run before anything is measured."""
    outcome = subprocess.run(
        [SCRIPTS / "bench", "--only", "nothing"], capture_output=True, text=True, check=False
    )

    assert outcome.returncode == 2
    assert "'nothing' is none of read, " in outcome.stderr


def test_the_texts_quote_what_was_measured(tmp_path: Path) -> None:
    """Tables and picture are those of the figures that are kept."""
    texts = [
        Path(shutil.copy2(path, tmp_path)) for path in (ROOT / "README.md", DOCS / "benchmarks.md")
    ]
    picture = tmp_path / "benchmarks.svg"

    run(SCRIPTS / "bench-picture", DOCS / "benchmarks.json", picture, *texts)

    assert texts[0].read_text() == (ROOT / "README.md").read_text()
    assert texts[1].read_text() == (DOCS / "benchmarks.md").read_text()
    assert picture.read_text() == (DOCS / "benchmarks.svg").read_text()
