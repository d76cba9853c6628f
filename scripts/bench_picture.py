#!/usr/bin/env python3
"""Draws what `bench --json` wrote, and brings the figures that texts quote up to date.

In each FILE, what stands between `<!-- ratios -->` and `<!-- end -->` becomes the table of ratios;
likewise `<!-- some ratios -->`, a shorter one, and `<!-- budgets -->`.
"""

from __future__ import annotations

import argparse
import json
import math
import re
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Any

Row = dict[str, Any]

PICTURED = {
    "read": "read, seen before",
    "create": "create",
    "replace": "replace",
    "save": "save (temporary, rename)",
    "rename": "rename",
    "unlink": "unlink",
    "git": "git status",
    "first": "ls -l, first time",
    "second": "ls -l, second time",
}
COLOURS = {
    "floor": "#6e7781",
    "embedded": "#0969da",
    "http": "#8250df",
    "http + 5 ms": "#bf3989",
    "http + 50 ms": "#cf222e",
    "gocryptfs": "#1a7f37",
    "sshfs": "#9a6700",
    "rclone": "#1b7c83",
}
INK, FAINT, GOOD, BAD = "#1f2328", "#d0d7de", "#1a7f37", "#cf222e"
WIDTH, LEFT, RIGHT = 920, 310, 730
LINE = 26
SOME_MEASURES = ("read", "create", "git", "second")
SOME_SUBJECTS = ("embedded", "http", "gocryptfs", "sshfs", "rclone")
UNITS = {"ratio": "x floor", "flat": "x N = 10", "requests": "requests", "bytes": "MB"}


def shown(value: float, kind: str) -> str:
    """A figure for people, without its unit where that is a number of something."""
    if kind == "bytes":
        return f"{value / 1e6:.0f}"
    if kind in UNITS:
        return f"{value:.3g}" if value < 100 else f"{value:.0f}"
    return f"{value * 1e3:.3g} ms" if value < 1 else f"{value:.3g} s"


def worst_budgets(rows: list[Row]) -> list[tuple[Row, Row]]:
    """For each budget the row that is farthest from it, and what it came to there."""
    found: dict[tuple[str, str], tuple[Row, Row]] = {}
    for row in rows:
        for budget in row["budgets"]:
            key = (row["measure"], budget["kind"])
            if key not in found or budget["value"] > found[key][1]["value"]:
                found[key] = (row, budget)
    return list(found.values())


def share_of(budget: Row) -> float:
    """How much of a budget is used; of one of zero, one more is twice as much."""
    if budget["limit"] == 0:
        return 1.0 + budget["value"]
    return max(budget["value"], 0.0) / budget["limit"]


def compared(budget: Row) -> str:
    """What a budget came to and what it is."""
    kind = budget["kind"]
    value, limit = (shown(budget[key], kind) for key in ("value", "limit"))
    return f"{value} of {limit} {UNITS.get(kind, '')}".rstrip()


def titled(row: Row, budget: Row) -> str:
    """What a budget is about."""
    more = {"requests": " (requests)", "beyond": " (beyond the trip)", "flat": " (flat)"}
    return row["title"] + more.get(budget["kind"], "")


class Drawing:
    """Lines of SVG, from the top to the bottom."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.y = 0

    def text(self, x: float, text: str, *, anchor: str = "start", more: str = "") -> None:
        """A text on the current line."""
        place = f'x="{x:.1f}" y="{self.y + 4}" text-anchor="{anchor}"'
        self.parts.append(f"<text {place} {more}>{escape(text)}</text>")

    def upright(self, x: float, height: int, colour: str, more: str = "") -> None:
        """A line down from the current one."""
        self.parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{self.y}" y2="{self.y + height}" '
            f'stroke="{colour}" {more}/>'
        )

    def whole(self) -> str:
        """The picture."""
        height = self.y + 20
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
            f'width="{WIDTH}" height="{height}" font-family="sans-serif" font-size="13" '
            f'fill="{INK}">\n<rect width="{WIDTH}" height="{height}" rx="8" fill="#ffffff"/>\n'
            + "\n".join(self.parts)
            + "\n</svg>\n"
        )


class Scale:
    """A logarithmic axis."""

    def __init__(self, values: list[float]) -> None:
        self.low = math.floor(math.log10(min(values)))
        self.high = max(math.ceil(math.log10(max(values))), self.low + 1)

    def at(self, value: float) -> float:
        """Where a value lies."""
        part = (math.log10(max(value, 10.0**self.low)) - self.low) / (self.high - self.low)
        return LEFT + part * (RIGHT - LEFT)

    def draw(self, drawing: Drawing, height: int, unit: str) -> None:
        """The powers of ten."""
        for power in range(self.low, self.high + 1):
            x = self.at(10.0**power)
            drawing.text(x, f"{10.0**power:g}{unit}", anchor="middle", more='font-size="11"')
            drawing.y += 10
            drawing.upright(x, height, FAINT)
            drawing.y -= 10
        drawing.y += LINE


def heading(drawing: Drawing, title: str) -> None:
    """The title of a part."""
    drawing.y += 30
    drawing.text(20, title, more='font-size="15" font-weight="bold"')
    drawing.y += 24


def draw_ratios(drawing: Drawing, rows: list[Row]) -> None:
    """Each operation a line, each filesystem a dot."""
    dots = [row for row in rows if row["measure"] in PICTURED and "ratio" in row]
    measures = [name for name in PICTURED if any(row["measure"] == name for row in dots)]
    if not measures:
        return
    heading(drawing, "How many times the in-memory filesystem (further left is better)")
    x = 20.0
    for name in [name for name in COLOURS if any(row["subject"] == name for row in dots)]:
        drawing.parts.append(
            f'<circle cx="{x + 5}" cy="{drawing.y}" r="5" fill="{COLOURS[name]}"/>'
        )
        drawing.text(x + 15, name)
        x += 34 + 7.2 * len(name)
    drawing.y += 28
    scale = Scale([row["ratio"] for row in dots])
    scale.draw(drawing, LINE * len(measures), "")
    for name in measures:
        drawing.text(LEFT - 16, PICTURED[name], anchor="end")
        of_measure = [row for row in dots if row["measure"] == name]
        limits = {
            budget["limit"]
            for row in of_measure
            for budget in row["budgets"]
            if budget["kind"] == "ratio"
        }
        drawing.y -= 10
        for limit in limits:
            drawing.upright(scale.at(limit), 20, INK, 'stroke-width="2"')
        drawing.y += 10
        for row in of_measure:
            drawing.parts.append(
                f'<circle cx="{scale.at(row["ratio"]):.1f}" cy="{drawing.y}" r="5" '
                f'fill="{COLOURS[row["subject"]]}" fill-opacity="0.8"/>'
            )
        drawing.y += LINE
    drawing.text(LEFT, "The black mark is the budget.", more='font-size="11"')


def draw_budgets(drawing: Drawing, rows: list[Row]) -> None:
    """Each budget a bar, of the subject that is farthest from it."""
    budgets = worst_budgets(rows)
    if not budgets:
        return
    heading(drawing, "How much of each budget is used, by the mount that is farthest from it")
    scale = Scale([0.1, 10.0, *(max(share_of(budget), 0.1) for _, budget in budgets)])
    scale.draw(drawing, LINE * len(budgets), "")
    top = drawing.y
    for row, budget in budgets:
        colour = GOOD if budget["met"] else BAD
        end = scale.at(share_of(budget))
        drawing.text(LEFT - 16, titled(row, budget), anchor="end", more='font-size="12"')
        drawing.parts.append(
            f'<rect x="{LEFT}" y="{drawing.y - 7}" width="{max(end - LEFT, 2):.1f}" height="14" '
            f'rx="2" fill="{colour}"/>'
        )
        drawing.text(RIGHT + 12, compared(budget), more=f'font-size="12" fill="{colour}"')
        drawing.y += LINE
    bottom, drawing.y = drawing.y, top - 16
    drawing.upright(scale.at(1.0), bottom - drawing.y - 10, INK, 'stroke-width="2"')
    drawing.y = bottom


def ratios_table(report: Row, measures: Iterable[str], subjects: Iterable[str]) -> str:
    """The ratios, as Markdown."""
    found = {
        (row["measure"], row["subject"]): row["ratio"] for row in report["rows"] if "ratio" in row
    }
    columns = [name for name in subjects if any(name == subject for _, subject in found)]
    lines = [f"| times the floor | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for measure in measures:
        ratios = [found.get((measure, name)) for name in columns]
        if any(ratios):
            cells = [shown(ratio, "ratio") if ratio else "" for ratio in ratios]
            lines.append(f"| {PICTURED[measure]} | {' | '.join(cells)} |")
    return "\n".join(lines)


def budgets_table(report: Row) -> str:
    """The budgets, as Markdown."""
    lines = ["| what | budget | farthest from it | it came to | met |", "|---|---|---|---|---|"]
    for row, budget in worst_budgets(report["rows"]):
        kind = budget["kind"]
        value, limit = (
            f"{shown(budget[key], kind)} {UNITS.get(kind, '')}".rstrip()
            for key in ("value", "limit")
        )
        met = "yes" if budget["met"] else "**no**"
        lines.append(f"| {titled(row, budget)} | ≤ {limit} | {row['subject']} | {value} | {met} |")
    return "\n".join(lines)


def quote(text: str, report: Row) -> str:
    """A text with its tables made anew."""
    tables = {
        "ratios": ratios_table(report, PICTURED, list(COLOURS)[1:]),
        "some ratios": ratios_table(report, SOME_MEASURES, SOME_SUBJECTS),
        "budgets": budgets_table(report),
    }
    for name, table in tables.items():
        marked = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        text = marked.sub(lambda found, table=table: f"{found[1]}{table}\n{found[2]}", text)
    return text


def draw(report: Row) -> str:
    """The picture of a report."""
    drawing = Drawing()
    draw_ratios(drawing, report["rows"])
    draw_budgets(drawing, report["rows"])
    machine = report["machine"]
    drawing.y += 16
    said = (
        f"{report['date']}: {machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}"
    )
    drawing.text(20, said, more=f'font-size="11" fill="{COLOURS["floor"]}"')
    return drawing.whole()


def main() -> None:
    """Draws and quotes."""
    parser = argparse.ArgumentParser(
        prog="bench-picture",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("json", type=Path, metavar="JSON", help="what `bench --json` wrote")
    parser.add_argument("svg", type=Path, metavar="SVG", help="the picture to write")
    parser.add_argument("texts", type=Path, metavar="FILE", nargs="*", help="texts that quote it")
    given = parser.parse_args()
    report = json.loads(given.json.read_text())
    given.svg.write_text(draw(report))
    for path in given.texts:
        path.write_text(quote(path.read_text(), report))


if __name__ == "__main__":
    main()
