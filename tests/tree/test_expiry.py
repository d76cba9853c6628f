"""Closing dates as people write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smfs.errors import ClosureDatePassed, InvalidInput
from smfs.tree.expiry import format_expiry, parse_expiry

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


def at(*moment: int) -> int:
    """A moment of UTC in ms since 1970."""
    return int(datetime(*moment, tzinfo=UTC).timestamp() * 1000)  # type: ignore[arg-type, misc]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        (" \n", None),
        ("+4hours", at(2026, 1, 31, 16)),
        ("+1hour", at(2026, 1, 31, 13)),
        ("+4days", at(2026, 2, 4, 12)),
        ("+1months", at(2026, 2, 28, 12)),
        ("+13months", at(2027, 2, 28, 12)),
        ("+4years", at(2030, 1, 31, 12)),
        ("2026-02-01T00:00:00Z", at(2026, 2, 1)),
        ("2026-02-01T02:00:00+02:00\n", at(2026, 2, 1)),
    ],
)
def test_what_people_write_is_understood(text: str, expected: int | None) -> None:
    """A month later is the same day, or the last one of a shorter month."""
    assert parse_expiry(text, now=NOW) == expected


def test_without_a_zone_it_is_local_time() -> None:
    """As on the wall."""
    expected = datetime(2030, 5, 1, 12).astimezone()

    assert parse_expiry("2030-05-01T12:00", now=NOW) == int(expected.timestamp() * 1000)


@pytest.mark.parametrize("text", ["soon", "+4", "4days", "+4weeks", "-4days", "+9999999days", "12"])
def test_anything_else_is_refused(text: str) -> None:
    """With the forms that would do."""
    with pytest.raises(InvalidInput, match="ISO 8601"):
        parse_expiry(text, now=NOW)


@pytest.mark.parametrize("text", ["2026-01-31T12:00:00Z", "1999-01-01", "+0days"])
def test_a_time_gone_by_is_refused(text: str) -> None:
    """The service would close it at once."""
    with pytest.raises(ClosureDatePassed):
        parse_expiry(text, now=NOW)


@given(st.integers(at(2026, 2, 1), at(9000, 1, 1)))
def test_what_is_shown_is_read_back(moment: int) -> None:
    """To the millisecond."""
    assert parse_expiry(format_expiry(moment), now=NOW) == moment


@given(st.text(max_size=40), st.timedeltas(timedelta(0), timedelta(hours=23)))
def test_any_text_is_a_date_or_an_error_of_ours(text: str, offset: timedelta) -> None:
    """The text comes from a program that writes a file."""
    try:
        found = parse_expiry(text, now=NOW.astimezone(timezone(offset)))
    except (InvalidInput, ClosureDatePassed):
        return
    assert found is None or found > NOW.timestamp() * 1000
    assert isinstance(format_expiry(found), str)


@given(st.floats(allow_nan=False))
def test_every_date_that_a_service_takes_can_be_shown(moment: float) -> None:
    """Services take dates of any size."""
    assert isinstance(format_expiry(moment), str)
