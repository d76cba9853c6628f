"""How the suites of `tests/client` and `tests/mount` run over replicas, and what cannot."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Final, TypedDict

import pytest

from tests.replicas.rotation import EVERY

WITHIN: Final = "over replicas that die in the middle of requests"
BETWEEN: Final = "over replicas that die between requests"
OWN: Final = "at a service of their own, or at none"

EXACT: Final = frozenset(
    {
        "test_a_broken_connection_makes_no_service_away",
        "test_a_cancelled_consumption_loses_nothing",
        "test_a_client_without_keys_makes_some_and_opens_its_space",
        "test_a_content_that_did_not_come_is_asked_for_once_the_service_is_back",
        "test_a_deletion_that_came_too_late_takes_nothing_away",
        "test_a_denial_whose_answer_is_lost_is_done",
        "test_a_later_write_of_another_stays_when_our_answer_is_late",
        "test_a_later_write_that_came_alone_stays_when_our_answer_is_late",
        "test_a_lost_feed_is_known_at_once",
        "test_a_one_time_secret_whose_answer_is_lost_is_answered_again",
        "test_a_page_from_before_our_acceptance_takes_no_sender_away",
        "test_a_page_from_before_our_refusal_brings_no_sender_back",
        "test_a_page_of_another_place_is_refused",
        "test_a_page_that_comes_after_the_move_says_nothing",
        "test_a_recipient_whose_date_has_passed_is_asked",
        "test_a_restart_takes_only_what_has_changed",
        "test_a_secret_set_after_our_deletion_stays",
        "test_a_sender_accepted_after_our_refusal_stays",
        "test_a_service_that_was_restored_from_a_backup_is_believed",
        "test_all_requests_of_an_operation_share_its_deadline",
        "test_an_answer_from_before_says_nothing_of_what_the_feed_told_since",
        "test_an_answer_that_another_read_went_past_hides_nothing",
        "test_an_answer_to_another_request_is_none",
        "test_calls_at_the_same_time_open_a_missing_space_once",
        "test_keys_with_a_code_open_the_space_first",
        "test_known_keys_whose_space_is_missing_open_it_and_go_on",
        "test_names_come_first_then_contents",
        "test_nobody_is_asked_while_the_feed_is_alive",
        "test_nobody_is_refused_for_want_of_a_service_that_is_back",
        "test_opening_the_space_is_part_of_the_operation",
        "test_our_later_write_replaces_what_the_feed_tells_late",
        "test_recipients_are_seen",
        "test_the_copy_of_what_was_shared_has_a_deadline_of_its_own",
        "test_the_feed_may_be_quicker_than_the_answer",
        "test_what_arrives_late_undoes_nothing_that_came_after",
        "test_what_changes_while_contents_come_is_known_at_the_end",
        "test_what_is_odd_does_not_hide_the_rest",
        "test_what_is_shared_after_a_one_time_secret_was_taken_stays",
        "test_what_is_too_old_is_brought_up_to_date_by_a_service_that_is_back",
        "test_what_may_be_old_is_not_taken_for_current_while_contents_come",
        "test_what_may_have_arrived_is_made_again_byte_for_byte",
        "test_what_was_never_sent_is_sent_again",
        "test_who_has_just_accepted_is_shared_with",
        "test_who_is_accepted_while_all_is_listed_stays",
        "test_who_reads_before_anything_is_known_hears_of_no_lost_answer",
    }
)
"""Of `tests/client`: they say which request meets which fault, count requests, or hold one up."""

UNCERTAIN: Final = frozenset(
    {
        "test_a_space_that_was_erased_is_read_no_more",
        "test_denying_who_is_not_accepted_is_told",
        "test_hooks",
        "test_in_the_end_the_view_is_right",
        "test_un_sharing_deletes_the_copy_too",
        "test_what_is_missing_is_not_found",
    }
)
"""Of `tests/client`: they expect a certainty that no client has once an answer was lost.

What was to be deleted may have been deleted by the attempt without an answer; a hook may not have
been checked; what a program gave up may be carried out after another one's write.
"""

ALONE: Final = frozenset(
    {
        "test_a_change_wakes_who_waits_for_the_status",
        "test_a_failed_close_is_told",
        "test_a_killed_service_loses_nothing",
        "test_a_service_that_is_away_is_told_at_once",
        "test_an_unmount_waits_for_what_is_unsent",
        "test_one_echo_is_one_request",
        "test_what_travels",
    }
)
"""Of `tests/mount`: they stop a service of their own, count what travels to it, or hear of it.

`.status` says when the service was lost for a moment, so whoever waits for it is woken.
"""

FILES: Final = frozenset(
    {
        "test_a_database_that_was_restored_is_listed_anew",
        "test_a_service_that_was_restored_from_a_backup_is_believed",
    }
)
"""Of `tests/client`: they copy the file of the service, which PostgreSQL has not."""

_EMBEDDED: Final = "embedded"


class Options(TypedDict):
    """Of a rotation."""

    within: bool
    first: int


def way_of(test: pytest.Item) -> str:
    """Which services a test runs with."""
    name = _name(test)
    if "mount" in test.path.parts:
        return WITHIN
    if "service" not in getattr(test, "fixturenames", ()):
        return OWN
    return BETWEEN if name in EXACT | UNCERTAIN else WITHIN


def is_left_out(test: pytest.Item) -> bool:
    """Whether a test has no use for the services that the options ask for."""
    name, of = _name(test), test.config.getoption
    if "mount" in test.path.parts and of("--service"):
        return name in ALONE or _EMBEDDED in test.name.partition("[")[2]
    if "client" not in test.path.parts or not of("--replicas"):
        return False
    return name in FILES and of("--replicas") == "postgres"


def rotation_for(test: pytest.Item) -> Options:
    """How the replicas of a test in `tests/client` die."""
    # Each test meets its first death somewhere else, and always there.
    first = zlib.crc32(test.name.encode()) % EVERY
    return {"within": way_of(test) == WITHIN, "first": first}


def _name(test: pytest.Item) -> str:
    return test.name.partition("[")[0]


def explained() -> str:
    """What runs in which way, and why, for people."""
    groups: dict[str, Iterable[str]] = {
        "tests/client, replicas die only between requests: faults or requests are counted": EXACT,
        "tests/client, the same: what they expect is uncertain once an answer was lost": UNCERTAIN,
        "tests/client, left out over PostgreSQL: they copy the file of the service": FILES,
        "tests/mount, left out: they stop, count at or hear of a service of their own": ALONE,
        "tests/mount, left out: the embedded service": {"[embedded], where that is a parameter"},
    }
    lines = [
        "tests/client: three services in one process with the test's clock, in turn; they are cut",
        "  off abruptly, but a transaction that a thread has begun is finished.",
        "tests/mount: real processes behind the proxy, killed by SIGKILL.",
    ]
    for title, names in groups.items():
        lines += [f"{title}:", *(f"  {name}" for name in sorted(names))]
    return "\n".join(lines)
