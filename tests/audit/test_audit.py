"""Audits of real stores: what is found where, since when, and how to get rid of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from scripts.testing.advisories import CRITICAL, advisory, fixed_in, write_database
from scripts.testing.wheels import make_wheel
from scripts.testing.world import World, make_world
from vstore.api import audits, locks, profiles, stores
from vstore.audit.database import AdvisoryDatabase
from vstore.audit.osv import read_advisories
from vstore.errors import LockError, UsageError

pytestmark = pytest.mark.slow

MIDLIB = advisory("VST-2", "midlib", *fixed_in("2.1", introduced="2.0"), aliases=["CVE-2"], vector=CRITICAL)
LOW = advisory("VST-1", "low", *fixed_in("1.1"), aliases=["CVE-1"])


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A world with two generations of its profile, midlib 1.0, then 2.0. Tests only read it."""
    world = make_world(tmp_path_factory.mktemp("two"))
    world.write_spec("==1.0")
    world.realise()
    world.write_spec("==2.0")
    assert world.realise()["generation"] == 2
    return world


def database(*documents: dict[str, object]) -> AdvisoryDatabase:
    return AdvisoryDatabase.of("db", [one for document in documents for one in read_advisories(document)])


def audit(world: World, *documents: dict[str, object], what: str | None = None) -> audits.Audit:
    """Return the audit of a store, or of an object and all that it refers to."""
    with stores.open_store(world.root, read_only=True) as store:
        path = stores.resolve_what(store, what).path if what else None
        return audits.audit_store(store, database(*documents), path)


def audit_spec(world: World, *documents: dict[str, object]) -> audits.Audit:
    """Return the audit of the locks of a world's spec."""
    return audits.audit_locks(locks.Project.load(world.spec), database(*documents))


def names(audit: audits.Audit) -> list[str]:
    return [one.id for one in audit.found]


def way_of(audit: audits.Audit) -> audits.WayOut:
    """Return the way out of the only profile of the only vulnerability."""
    (found,) = audit.found
    (exposure,) = found.exposures
    return exposure.way


@contextmanager
def text_of(file: Path, text: str) -> Iterator[None]:
    """Write a file for the time of a block."""
    file.write_text(text)
    try:
        yield
    finally:
        file.unlink()


def test_what_is_live_is_found_with_what_reaches_it(two: World) -> None:
    found = audit(two, MIDLIB, LOW)
    worst, other = found.found
    assert (worst.id, worst.package, worst.version, worst.aliases) == ("VST-2", "midlib", "2.0", ("CVE-2",))
    assert worst.severity == ("critical", 9.8) and worst.fixed_in == ("2.1",) and worst.layers == ("framework-mid",)
    with stores.open_store(two.root, read_only=True) as store:
        first, second = profiles.history(store, "project")
        assert worst.paths == (stores.resolve_what(store, "project/framework-mid").path,)
    (exposure,) = worst.exposures
    assert exposure.generations == (2,) and exposure.since == second.created_at and exposure.is_current
    assert exposure.applications == ("app-hello",) and exposure.spec == two.spec
    (every,) = other.exposures
    assert every.generations == (1, 2) and every.since == first.created_at
    assert found.advisories == 2 and found.unreachable == ()
    assert found.summary() == "2 known vulnerabilities in 2 of 5 packages"
    assert audit(two).summary() == "no known vulnerabilities in 5 packages"


def test_a_generation_without_it_is_the_shortest_way_out(two: World) -> None:
    assert str(way_of(audit(two, MIDLIB))) == "vstore rollback project --to 1"


def test_a_generation_that_has_as_many_vulnerabilities_is_no_way_out(two: World) -> None:
    older = advisory("VST-3", "midlib", versions=["1.0"])
    (one,) = [each for each in audit(two, MIDLIB, older).found if each.id == "VST-2"]
    assert one.exposures[0].way.kind == "blocked"


def test_an_upgrade_or_what_stands_in_its_way(two: World) -> None:
    assert str(way_of(audit(two, LOW))) == f"vstore lock --upgrade-package low {two.spec}"
    assert audit_spec(two, LOW).found[0].way == way_of(audit(two, LOW))
    reason = "`midlib==2.0` of layer framework-mid does not allow 2.1"
    assert audit_spec(two, MIDLIB).found[0].way == ("blocked", None, reason)
    assert (
        way_of(audit(two, advisory("VST-1", "low", {"introduced": "0"}))).reason == "no fixed version of low is known"
    )


def test_without_its_spec_a_profile_has_no_upgrade(two: World) -> None:
    aside = two.spec.with_suffix(".aside")
    two.spec.rename(aside)
    try:
        assert way_of(audit(two, LOW)).reason == f"the spec of profile project is not known on this machine: {two.spec}"
    finally:
        aside.rename(two.spec)


def test_only_what_an_object_refers_to_is_looked_up(two: World) -> None:
    assert names(audit(two, MIDLIB, LOW, what="project@1")) == ["VST-1"]
    assert names(audit(two, MIDLIB, LOW, what="project@2")) == ["VST-2", "VST-1"]
    assert names(audit(two, MIDLIB, LOW, what="project/framework-side")) == ["VST-1"]


def test_the_locks_of_a_spec_are_looked_up(two: World, tmp_path: Path) -> None:
    (found,) = audit_spec(two, LOW).found
    assert found.layers == ("python",) and found.paths == () and found.exposures == ()
    assert [file.name for file in found.lock_files] == ["pylock.python.toml"]
    shutil.copy(two.spec, tmp_path)
    shutil.copy(two.spec.with_name("hello.py"), tmp_path)
    with pytest.raises(LockError, match="no layer is locked"):
        audits.audit_locks(locks.Project.load(tmp_path / two.spec.name), database(LOW))


def test_two_advisories_about_one_vulnerability_are_one(two: World) -> None:
    other = advisory("GHSA-1", "midlib", *fixed_in("2.2", introduced="2.0"), aliases=["CVE-2"])
    (found,) = audit(two, other, MIDLIB).found
    assert (found.id, found.aliases, found.fixed_in) == ("GHSA-1", ("CVE-2", "VST-2"), ("2.2",))


def test_ignores_beside_a_spec_hold_for_its_profiles(two: World) -> None:
    file = two.spec.with_name("audit.toml")
    with text_of(file, '[[ignore]]\nid = "CVE-1"\nreason = "low is not reached"\n'):
        for found in (audit(two, LOW, MIDLIB), audit_spec(two, LOW, MIDLIB)):
            assert names(found) == ["VST-2"]
            assert [(one.id, one.ignored.reason) for one in found.ignored if one.ignored] == [
                ("VST-1", "low is not reached")
            ]
    with text_of(file, "ignore = 1"):
        assert names(audit(two, LOW)) == ["VST-1"]  # another user's file stops no audit of a store
        with pytest.raises(UsageError, match=r"audit\.toml"):
            audit_spec(two, LOW)


def test_generations_are_compared(two: World) -> None:
    older = advisory("VST-3", "midlib", versions=["1.0"])
    with stores.open_store(two.root, read_only=True) as store:
        found = audits.compare_generations(store, database(MIDLIB, LOW, older), "project", 1, 2)
    assert [(one.id, one.version) for one in found.gone] == [("VST-3", "1.0")]
    assert [(one.id, one.version) for one in found.new] == [("VST-2", "2.0")]


def test_what_is_printed(two: World, tmp_path: Path) -> None:
    """The ways out are commands that work: rolled back, forgotten and collected, the vulnerability is gone."""
    world = two.copy(tmp_path / "w")
    assert "no database of advisories" in world.run("audit", code=2)[1]
    world.run("roots", "add", "kept", "framework-mid")
    place = str(write_database(world.folder / "db", MIDLIB))
    found = json.loads(world.run("--json", "audit", "--database", place, code=14)[0])["vulnerabilities"][0]
    assert [one["way_out"]["command"] for one in found["roots"]] == ["vstore roots remove kept"]
    assert found["profiles"][0]["way_out"]["command"] == "vstore rollback project --to 1"
    for command in ("roots remove kept", "rollback project --to 1"):
        world.run(*command.split())
    world.run("config", "set", "audit.database", place)
    text = world.run("audit", code=14)[0]
    assert "project@2 " in text and "app-hello" in text and "vstore forget project 2" in text
    assert "gone: VST-2 of midlib 2.0" in world.run("diff", "project", "2", "1")[0]
    world.run("forget", "project", "2")
    left = world.json("audit")
    assert left["vulnerabilities"] == [] and left["unreachable"] == found["paths"]
    world.run("gc")
    assert world.json("audit")["unreachable"] == []
    assert list((world.root / "cache" / "advisories").iterdir())


def test_the_requirement_of_another_package_is_named(two: World, tmp_path: Path) -> None:
    """It is read from the metadata of the packages in the store. An upgrade that nothing prevents works."""
    world = two.copy(tmp_path / "w")
    make_wheel(world.wheels, "low", "1.1", {"low/__init__.py": "VERSION = '1.1'\n"})
    world.run("lock", "--upgrade-package", "low", str(world.spec))
    assert audit_spec(world, LOW).found == ()
    make_wheel(world.wheels, "midlib", "3.0", {"midlib/__init__.py": ""}, requires=["low<1.1"])
    world.write_spec("==3.0")
    world.run("lock", "--joint", str(world.spec))
    world.realise("--locked")
    assert way_of(audit(world, LOW)).reason == "`low<1.1` of midlib 3.0 does not allow 1.1"
