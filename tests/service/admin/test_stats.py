"""`stats` counts what there is."""

from __future__ import annotations

from smfs.service.admin.migrating import migrate
from smfs.service.admin.stats import stats
from smfs.service.store import schema
from tests.service.admin.conftest import ALICE, Place, contents
from tests.service.nodes import START_MS


def test_all_is_counted(filled: Place) -> None:
    """As the rows themselves say it."""
    rows = contents(filled)
    found = stats(filled, START_MS + 5000)
    assert (found.version, found.spaces, found.sub_spaces) == (schema.LATEST, 4, 4)
    assert found.secrets == len(rows["secrets"])
    assert found.content_bytes == sum(
        len(row[2]) + len(row[4]) + len(row[9] or b"") for row in rows["secrets"]
    )
    assert found.shares == len([row for row in rows["secrets"] if row[1]])
    assert 0 < found.shares < found.secrets
    assert (found.hooks, found.deliveries) == (3, len(rows["deliveries"]))
    assert found.oldest_delivery_s == 5
    assert found.auth_codes == 2
    assert found.used_signatures == len(rows["used_signatures"])
    assert found.disk_bytes > 50_000
    assert found.biggest[0].node_id == ALICE.node_id
    assert sum(space.secrets for space in found.biggest) == found.secrets
    sizes = [space.content_bytes for space in found.biggest]
    assert sizes == sorted(sizes, reverse=True)
    assert sum(sizes) == found.content_bytes


def test_nothing_is_nothing(place: Place) -> None:
    """And no delivery is the oldest."""
    migrate(place)
    found = stats(place, START_MS)
    assert (found.spaces, found.secrets, found.content_bytes, found.deliveries) == (0, 0, 0, 0)
    assert (found.oldest_delivery_s, found.biggest) == (None, [])
