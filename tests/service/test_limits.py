"""Token buckets and open requests: what they let through, and what they remember."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smfs.errors import InvalidInput
from smfs.service.limits import OpenRequests, TokenBuckets


@dataclass
class Ticks:
    """A clock that tests set: s since some time."""

    seconds: float = 1e6

    def __call__(self) -> float:
        """Now."""
        return self.seconds


def test_a_full_bucket_lets_a_burst_through() -> None:
    """And then as much as flows in; a refusal takes nothing."""
    ticks = Ticks()
    buckets = TokenBuckets(2.0, 3, now=ticks)
    assert [buckets.take("a") for _ in range(5)] == [0, 0, 0, 0.5, 0.5]
    ticks.seconds += 0.5
    assert [buckets.take("a") for _ in range(2)] == [0, 0.5]
    ticks.seconds += 1000
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 0.5]


def test_who_waits_as_long_as_told_is_let_through() -> None:
    """Also when asking in between."""
    ticks = Ticks()
    buckets = TokenBuckets(0.3, 1, now=ticks)
    assert buckets.take("a") == 0
    wait = buckets.take("a")
    ticks.seconds += wait / 2
    assert buckets.take("a") == pytest.approx(wait / 2)
    ticks.seconds += wait / 2 + 1e-6
    assert buckets.take("a") == 0


def test_every_key_has_a_bucket() -> None:
    """One that is empty keeps nobody else out."""
    buckets = TokenBuckets(1.0, 1, now=Ticks())
    assert [buckets.take(key) > 0 for key in "aabbc"] == [False, True, False, True, False]


def test_a_bucket_that_is_full_again_is_forgotten() -> None:
    """Whoever comes next clears up after those who are gone."""
    ticks = Ticks()
    buckets = TokenBuckets(1.0, 2, now=ticks)
    for number in range(10):
        buckets.take(f"{number}")
    assert len(buckets) == 10
    ticks.seconds += 1
    for _ in range(6):
        buckets.take("new")
    assert len(buckets) == 1


def test_of_too_many_buckets_the_oldest_idle_one_is_forgotten() -> None:
    """One that is asked for without pause stays, empty as it is."""
    buckets = TokenBuckets(0.001, 1, most=100, now=Ticks())
    assert buckets.take("busy") == 0
    for number in range(1000):
        assert buckets.take(f"{number}") == 0
        assert buckets.take("busy") > 0
        assert len(buckets) <= 100
    assert buckets.take("999") > 0
    assert buckets.take("0") == 0


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 3)), max_size=60),
    st.floats(0.1, 50),
    st.integers(1, 10),
)
def test_nobody_gets_more_than_burst_and_rate_allow(
    steps: list[tuple[str, float]], rate: float, burst: int
) -> None:
    """Whoever asks whenever; and who is refused has really had all of it but a token."""
    ticks = Ticks()
    began = ticks.seconds
    buckets = TokenBuckets(rate, burst, now=ticks)
    taken = {"a": 0, "b": 0, "c": 0}
    for key, pause in steps:
        ticks.seconds += pause
        wait = buckets.take(key)
        taken[key] += not wait
        assert taken[key] <= burst + (ticks.seconds - began) * rate + 1e-6
        assert 0 <= wait <= 1 / rate + 1e-6


@pytest.mark.parametrize(("rate", "burst", "most"), [(0, 1, 1), (-1, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_a_limit_that_lets_nothing_through_is_refused(rate: float, burst: int, most: int) -> None:
    """Before anybody is kept out by it."""
    with pytest.raises(InvalidInput):
        TokenBuckets(rate, burst, most=most)
    with pytest.raises(InvalidInput):
        OpenRequests(0)


def test_so_many_are_open_at_once() -> None:
    """For each key; one that ends makes place for another."""
    requests = OpenRequests(2)
    assert [requests.enter("a") for _ in range(3)] == [True, True, False]
    assert requests.enter("b")
    requests.leave("a")
    assert [requests.enter("a") for _ in range(2)] == [True, False]


def test_keys_without_open_requests_are_forgotten() -> None:
    """So that it never grows beyond what is open."""
    requests = OpenRequests(1)
    for number in range(1000):
        assert requests.enter(f"{number}")
        requests.leave(f"{number}")
    assert len(requests) == 0
