from __future__ import annotations

import random
from collections.abc import Mapping

import pytest
from packaging.utils import canonicalize_version
from univers.version_constraint import InvalidConstraintsError, VersionConstraint
from univers.version_range import PypiVersionRange
from univers.versions import PypiVersion

from scripts.testing.advisories import advisory, fixed_in, real_advisories
from vstore.audit.database import AdvisoryDatabase
from vstore.audit.matching import fixed_versions, grouped, is_affected, parse_version
from vstore.audit.model import Advisory, Bound, Events
from vstore.audit.osv import read_advisories
from vstore.audit.sources import LocalSource
from vstore.values import replace

_SIGNS = {Bound.INTRODUCED: ">=", Bound.FIXED: "<", Bound.LAST_AFFECTED: "<="}


def made(*events: Mapping[str, str], **more: object) -> Advisory:
    (one,) = read_advisories(advisory("X-1", "one", *events, **more))  # type: ignore[arg-type]
    return one


@pytest.mark.parametrize(
    ("events", "affected", "others"),
    [
        (fixed_in("2.0"), ["0", "0.dev1", "1.9", "2.0rc1", "2.0.dev1"], ["2.0", "2", "2.0.post1", "3"]),
        (fixed_in("2.0", introduced="1.5"), ["1.5", "1.5.post1", "1.9"], ["1.4.99", "1.5rc1", "2.0"]),
        ([{"introduced": "1.5"}, {"last_affected": "2.0"}], ["1.5", "2.0", "2"], ["1.4", "2.0.1", "2.0.post1"]),
        ([{"introduced": "1"}], ["1", "99"], ["0.9"]),
        ([{"introduced": "0"}, {"limit": "2"}], ["1"], ["2", "3"]),
        ([{"introduced": "0"}, {"limit": "2"}, {"limit": "*"}], ["1", "3"], []),
        (
            [{"fixed": "3.1"}, {"introduced": "3"}, {"fixed": "2.5"}, {"introduced": "2"}],
            ["2.0", "2.4", "3.0"],
            ["1.9", "2.5", "2.9", "3.1"],
        ),
        (
            [{"introduced": "3.2"}, {"fixed": "3.3"}, {"introduced": "3.1"}, {"fixed": "3.2"}],
            ["3.1", "3.2", "3.2.5"],
            ["3.0", "3.3"],
        ),
    ],
)
def test_a_range_is_that_of_the_schema(events: list[Mapping[str, str]], affected: list[str], others: list[str]) -> None:
    one = made(*events)
    assert [version for version in (*affected, *others) if is_affected(one, version)] == affected


def test_a_local_version_counts_as_the_public_one() -> None:
    assert is_affected(made({"introduced": "0"}, {"last_affected": "2.1"}), "2.1+cu121")
    assert not is_affected(made(*fixed_in("2.1")), "2.1+cu121")
    assert is_affected(made(versions=["2.1"]), "2.1.0+cu121")


def test_a_bound_with_a_local_part_is_compared_as_a_whole() -> None:
    one = made(*fixed_in("2.1+fix1"))
    assert is_affected(one, "2.1") and not is_affected(one, "2.1+fix1") and not is_affected(one, "2.1+fix2")


def test_explicit_versions_are_equal_by_pep_440() -> None:
    one = made(versions=["1.0", "2.0.0rc1", "odd-version"])
    affected = ["1", "1.0.0", "2rc1", "odd-version"]
    assert [version for version in (*affected, "1.1", "2", "odd") if is_affected(one, version)] == affected


def test_fixed_versions_are_later_and_not_affected() -> None:
    first = made({"introduced": "1"}, {"fixed": "1.5"}, {"introduced": "2"}, {"fixed": "2.3"})
    second = made(*fixed_in("2.4", introduced="2"))
    assert fixed_versions([first], "1.2") == ("1.5", "2.3")
    assert fixed_versions([first], "2.1") == ("2.3",)
    assert fixed_versions([first, second], "2.1") == ("2.4",)
    assert fixed_versions([made({"introduced": "0"})], "1") == ()


def test_advisories_with_a_common_identifier_are_one_vulnerability() -> None:
    one, two, three, four = (
        Advisory(id=name, package="p", aliases=aliases)
        for name, aliases in (("A", ("C",)), ("B", ()), ("D", ("C", "E")), ("E", ()))
    )
    assert sorted(sorted(each.id for each in group) for group in grouped([one, two, three, four])) == [
        ["A", "D", "E"],
        ["B"],
    ]


@pytest.mark.slow
def test_ranges_agree_with_the_explicit_versions_and_with_another_matcher() -> None:
    """100,000 pairs of a real advisory and a version of its package. Ranges alone are compared, without the lists.

    A list has the versions that were on the index when it was made, so it may lack one that is in the range. A few
    lists have versions beyond their ranges; then the lists decide. Of one advisory the ranges are nested within each
    other, which the other matcher refuses.
    """
    database = AdvisoryDatabase.open(LocalSource(real_advisories()))
    assert database.size > 2_600 and database.warnings == ()
    versions = {name: _versions(database.advisories(name)) for name in database.packages}
    known = [one for name, found in versions.items() if found for one in database.advisories(name)]
    chosen, listed, inside, nested = random.Random(20), 0, 0, set()
    for _ in range(100_000):
        one = chosen.choice(known)
        version = chosen.choice(versions[one.package])
        by_list = canonicalize_version(version) in one.versions
        by_range = is_affected(replace(one, versions=()), version)
        try:
            assert by_range == any(PypiVersion(version) in _range(events) for events in one.ranges), (one.id, version)
        except InvalidConstraintsError:
            nested.add(one.id)
        assert is_affected(one, version) == (by_list or by_range), (one.id, version)
        listed += by_list
        inside += by_list and by_range
    assert listed > 30_000
    assert inside > 0.99 * listed
    assert len(nested) <= 1, nested


def _range(events: Events) -> PypiVersionRange:
    found = [(_SIGNS[bound], PypiVersion("0.dev0" if text == "0" else text)) for bound, text in events]
    return PypiVersionRange(constraints=tuple(sorted(VersionConstraint(comparator=a, version=b) for a, b in found)))


def _versions(advisories: tuple[Advisory, ...]) -> list[str]:
    bounds = {text for one in advisories for events in one.ranges for _, text in events}
    known = bounds | {text for one in advisories for text in one.versions}
    return sorted(text for text in known if parse_version(text) is not None)  # others are found in lists only
