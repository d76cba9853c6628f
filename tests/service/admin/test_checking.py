"""`check` finds each thing that can be wrong, and nothing where nothing is."""

from __future__ import annotations

from pathlib import Path

import pytest

from smfs.errors import ConfigError, StoreFailed
from smfs.service.admin.checking import Violation, check
from smfs.service.admin.progress import Silent
from smfs.service.admin.rules import READINGS, rules_of
from smfs.service.admin.tables import tables
from tests.postgres import Cluster
from tests.service.admin.conftest import ALICE, BOB, LONG, Place, Steps, plant

_LENGTHS = {
    (rule.table, rule.what): f"UPDATE {rule.table} SET {rule.what.split()[0]}"
    f" = substr({rule.what.split()[0]}, 2) WHERE length({rule.what.split()[0]}) > 1"
    for table in tables()
    for rule in rules_of(table)
    if rule.what.endswith("has not the length of one")
}
_ORPHANS = {
    (table.name, "it belongs to no row of spaces"): "DELETE FROM spaces"
    for table in tables()
    if table.parents
}
_TOO_HIGH = {
    (table, f"{column} is above that of its space"): f"UPDATE {table} SET {column} = {column} + 9e5"
    for table, column in (
        ("secrets", "revision"),
        ("sub_spaces", "place"),
        ("recipients", "revision"),
        ("gone", "revision"),
    )
}
_KEYS = {
    (table, "secret_id is no key of one"): f"UPDATE {table} SET secret_id = x'c080'"
    " WHERE secret_id = x'{}'".format(secret_id.encode().hex())
    for table, secret_id in (
        ("secrets", "x"),
        ("gone", "y"),
        ("handed_out", "once"),
        ("hooks", "x"),
    )
}
_OTHERS = {
    ("spaces", "floor is above revision"): "UPDATE spaces SET floor = revision + 1",
    ("spaces", "hooked is no flag"): "UPDATE spaces SET hooked = 4",
    ("spaces", "secrets is not how many there are"): "UPDATE spaces SET secrets = secrets + 1",
    ("spaces", "bytes is not what they take"): "UPDATE spaces SET bytes = bytes - 1",
    ("spaces", "remembered is not how many are gone"): "UPDATE spaces SET remembered = 77",
    ("sub_spaces", "hooked is no flag"): "UPDATE sub_spaces SET hooked = 2",
    ("sub_spaces", "its sender does not know it"): "DELETE FROM recipients",
    ("sub_spaces", "its sender knows another closure date"): (
        "UPDATE recipients SET closure_date = 5e12"
    ),
    ("secrets", "hooked is no flag"): "UPDATE secrets SET hooked = -1",
    ("secrets", "one_time is no flag"): "UPDATE secrets SET one_time = 7",
    ("secrets", "content is no ciphertext"): "UPDATE secrets SET content = x'00'",
    ("secrets", "place is above revision"): "UPDATE secrets SET place = revision + 1",
    ("secrets", "nobody accepts it"): "DELETE FROM sub_spaces",
    ("secrets", "long_id and secret_id do not fit"): "UPDATE secrets SET long_id = x'61'",
    ("recipients", "its recipient does not accept the node"): "DELETE FROM sub_spaces",
    ("gone", "kind is none"): "UPDATE gone SET kind = 3",
    ("gone", "kind does not fit the rest"): "UPDATE gone SET kind = 1 WHERE kind = 0",
    ("gone", "it should be forgotten"): "UPDATE spaces SET floor = revision",
    ("gone", "long_id and secret_id do not fit"): (
        "UPDATE gone SET long_id = NULL WHERE long_id IS NOT NULL"
    ),
    ("handed_out", "content is no ciphertext"): "UPDATE handed_out SET content = x''",
    ("hooks", "its secret is missing"): "DELETE FROM secrets",
    ("hooks", "its secret is not marked"): "UPDATE secrets SET hooked = 0",
    ("hooks", "its sub space is missing"): "DELETE FROM sub_spaces",
    ("hooks", "its sub space is not marked"): "UPDATE sub_spaces SET hooked = 0",
    ("hooks", "its space is not marked"): "UPDATE spaces SET hooked = 1",
    ("hooks", "type or url is no text"): "UPDATE hooks SET url = 'no JSON'",
    ("hooks", "last_error is no text"): "UPDATE hooks SET last_error = '{}'",
    ("deliveries", "attempts is no number of them"): "UPDATE deliveries SET attempts = -1",
    ("deliveries", "url is no text"): "UPDATE deliveries SET url = '7'",
    ("deliveries", "body is no message"): "UPDATE deliveries SET body = x'5b5d'",
    ("auth_codes", "action is no text"): "UPDATE auth_codes SET action = 'no JSON'",
    ("locks", "it should not be there"): "INSERT INTO locks VALUES (x'00')",
}
PLANTED = {**_LENGTHS, **_ORPHANS, **_TOO_HIGH, **_KEYS, **_OTHERS}


def found_in(place: Place) -> list[Violation]:
    """All that is wrong with a database."""
    return list(check(place, Silent()))


def test_nothing_is_found_where_nothing_is_wrong(filled: Place) -> None:
    """With some of everything in it, and to the end."""
    steps = Steps()
    assert list(check(filled, steps)) == []
    assert steps.done == steps.total > 100


def test_every_rule_is_tried_below() -> None:
    """No rule without a row that breaks it."""
    rules = [rule for table in tables() for rule in rules_of(table)]
    known = {(rule.table, rule.what) for rule in rules}
    known |= {(reading.table, reading.what) for reading in READINGS}
    assert known == PLANTED.keys()


@pytest.mark.parametrize(("table", "what"), sorted(PLANTED))
def test_each_violation_is_found(filled: Place, table: str, what: str) -> None:
    """Where it is, and nothing of a content with it."""
    plant(filled, PLANTED[table, what])

    found = [each for each in found_in(filled) if (each.table, each.what) == (table, what)]
    assert found
    for each in found:
        assert each.key
        assert "\n" not in str(each)
        assert all(len(part) <= 17 for part in each.key.split("/"))


def test_another_version_is_refused(filled: Place) -> None:
    """It is not for this program to say what is right there."""
    plant(filled, "UPDATE service SET schema = 99")
    with pytest.raises(ConfigError, match="version 99"):
        found_in(filled)


def test_a_revision_given_twice_is_found(filled: Place) -> None:
    """Across the tables."""
    plant(
        filled,
        "UPDATE secrets SET revision = (SELECT place FROM sub_spaces AS o"
        " WHERE o.node_id = secrets.node_id ORDER BY place LIMIT 1)",
    )
    whats = {(each.table, each.what) for each in found_in(filled)}
    assert ("spaces", "this revision was given more than once") in whats


def test_a_second_key_of_the_service_is_found(filled: Place) -> None:
    """And none at all is no database."""
    plant(filled, "DELETE FROM service")
    with pytest.raises(ConfigError):
        found_in(filled)


@pytest.mark.parametrize("text", ["b" + LONG, "short"], ids=["long", "short"])
def test_an_id_that_is_another_one_is_found(filled: Place, text: str) -> None:
    """A key that does not stand for the id beside it, and an id too short to be beside one."""
    plant(
        filled,
        f"UPDATE secrets SET long_id = x'{text.encode().hex()}' WHERE long_id IS NOT NULL",
    )
    whats = {(each.table, each.what) for each in found_in(filled)}
    assert ("secrets", "long_id and secret_id do not fit") in whats


@pytest.mark.parametrize(
    "statement",
    ["ALTER TABLE hooks ADD COLUMN colour TEXT", "ALTER TABLE gone RENAME COLUMN time TO moment"],
)
def test_other_columns_are_found(filled: Place, statement: str) -> None:
    """Nothing else is said then: the rules are about other tables."""
    plant(filled, statement)
    [found] = found_in(filled)
    assert found.what == "its columns are not those of this version"


def test_a_missing_index_is_found(filled: Place) -> None:
    """Without it all is right, and slow."""
    plant(filled, "DROP INDEX secrets_by_revision")
    assert [str(each) for each in found_in(filled)] == ["the index secrets_by_revision is missing"]


def test_the_row_is_named_and_no_secret_is(filled: Place) -> None:
    """A node by its first digits, a secret id by those of its digest."""
    plant(filled, "UPDATE secrets SET content = x'00' WHERE secret_id = x'7374617973'")
    [line] = [str(each) for each in found_in(filled) if each.table == "secrets"]
    assert line.startswith(f"secrets {ALICE.node_id[:8]}/{BOB.node_id[:8]}/#")
    assert "stays" not in line


@pytest.mark.parametrize("what", ["an index without a row", "a page that is none"])
def test_a_damaged_file_is_found(filled_file: Path, what: str) -> None:
    """By SQLite's own check, or because it cannot be read at all."""
    place = filled_file
    if what == "an index without a row":
        plant(
            place,
            "PRAGMA writable_schema = ON",
            "UPDATE sqlite_schema SET sql = sql || ' WHERE place < 0'"
            " WHERE name = 'hooks_by_target'",
        )
        assert any("hooks_by_target" in str(each) for each in found_in(place))
        return
    plant(place, "PRAGMA journal_mode = DELETE")
    data = bytearray(place.read_bytes())
    data[8192:] = bytes(len(data) - 8192)
    place.write_bytes(data)
    with pytest.raises(StoreFailed, match="SQLITE_CORRUPT"):
        found_in(place)


def test_indices_are_looked_at_by_amcheck(postgres: Cluster, filled_url: str) -> None:
    """Where the extension is there and may be used; an index that lacks a row is told."""
    place = filled_url
    name = place.rpartition("/")[2]
    postgres.execute("CREATE EXTENSION amcheck", database=name)
    postgres.execute("GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO PUBLIC", database=name)
    assert found_in(place) == []
    index = "WHERE indexrelid = 'hooks_by_target'::regclass"
    # As a failed disk might leave it.
    postgres.execute(f"UPDATE pg_index SET indisready = false {index}", database=name)
    plant(place, "UPDATE hooks SET from_id = from_id || x'' , secret_id = NULL")
    postgres.execute(f"UPDATE pg_index SET indisready = true {index}", database=name)
    lines = [str(each) for each in found_in(place)]
    assert "the index hooks_by_target is damaged" in lines
