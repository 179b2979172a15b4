"""Malicious packages: a lock that names one is refused before anything of it is fetched."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.testing.advisories import advisory, write_database
from scripts.testing.world import World
from vstore.api import locks as locking
from vstore.audit.database import AdvisoryDatabase
from vstore.audit.malicious import refuse_malicious
from vstore.audit.osv import read_advisories
from vstore.errors import LockError

MALICIOUS = advisory("MAL-2026-7", "midlib", versions=["2.0"], summary="a miner")


def test_a_lock_with_a_malicious_version_is_refused(realised: World) -> None:
    found = {one.env_name: one for one in locking.Project.load(realised.spec).locks}
    here = advisory("MAL-2026-7", "midlib", versions=["1.0"], summary="a miner")
    database = AdvisoryDatabase.of("db", read_advisories(here))
    refuse_malicious(database, found["python"])
    with pytest.raises(LockError, match=r"framework-mid has a malicious package: midlib 1\.0 \(MAL-2026-7: a miner\)"):
        refuse_malicious(database, found["framework-mid"])
    mistake = advisory("PYSEC-2026-7", "midlib", versions=["1.0"])
    refuse_malicious(AdvisoryDatabase.of("db", read_advisories(mistake)), found["framework-mid"])


def locks(world: World) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in (world.spec.parent / "requirements").rglob("pylock.*.toml")}


@pytest.mark.slow
def test_neither_lock_nor_realise_nor_plan_goes_on(world: World) -> None:
    """The version is neither locked, nor fetched from a lock that was made without the database."""
    world.write_spec("==1.0")
    world.run("lock", str(world.spec))
    assert not (world.root / "cache" / "advisories").exists()
    place = str(write_database(world.folder / "db", MALICIOUS))
    world.run("config", "set", "audit.database", place)
    before = locks(world)
    world.write_spec("==2.0")
    for command in ("lock", "realise"):
        assert "malicious package: midlib 2.0" in world.run(command, str(world.spec), code=4)[1]
    assert {file: data for file, data in locks(world).items() if "framework-mid" in file.name} == {
        file: data for file, data in before.items() if "framework-mid" in file.name
    }
    world.run("config", "unset", "audit.database")
    world.run("lock", str(world.spec))
    world.run("config", "set", "audit.database", place)
    for arguments in (("realise", "--locked", "--dry-run"), ("realise",), ("plan",), ("lock",)):
        assert "malicious" in world.run(*arguments, str(world.spec), code=4)[1]
