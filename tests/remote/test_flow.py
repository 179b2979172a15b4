"""A builder pushes; machines without registry access realise by substitution alone."""

from __future__ import annotations

from pathlib import Path

from tests.remote.fleet import make_fleet, origins, realise, run


def test_an_empty_machine_realises_from_a_folder_alone(tmp_path: Path) -> None:
    fleet = make_fleet(tmp_path)
    cache = f"file://{tmp_path}/cache"
    pushed = fleet.builder.json("push", cache, "project")
    assert pushed["present"] == [] and len(pushed["pushed"]) == 6
    machine = fleet.machine("one")
    result = realise(machine, "--cache", cache)
    assert origins(result) == {"substituted"}
    assert machine.paths(result) == fleet.builder.paths(fleet.builder.realise())
    assert run(machine).startswith("low 1.0 midlib 1.0")
    assert machine.json("verify", "--contents")["problems"] == []
    again = fleet.builder.json("push", cache, "project")
    assert again["pushed"] == [] and again["moved_bytes"] == 0 and len(again["present"]) == 6
