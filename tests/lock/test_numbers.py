"""Versioned layers: when their number goes up, when it stays, and the time beside it."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from scripts.testing.wheels import make_wheel
from tests.lock.test_lock import Workspace, project
from vstore.errors import LockError
from vstore.lock import Project, deployed_name, lock_path
from vstore.lock.staleness import stale_reasons
from vstore.spec import Spec, load
from vstore.spec.lockfiles import record_path
from vstore.spec.select import SelectionRequest

__all__ = ["project"]


def versioned(project: Workspace, *, runtime: str = "alpha", app: str = "beta", extra: str = "") -> Spec:
    spec = project.spec(runtime=[runtime], app=[app])
    text = spec.path.read_text().replace("name='py'", "name='py'\nversioned=true")
    spec.path.write_text(text.replace("name='hello'", "name='hello'\nversioned=true") + extra)
    return load(spec.path)


def numbers(project: Workspace, spec: Spec, **options: Any) -> dict[str, str]:
    return {name: deployed_name(spec.layer(name), one) for name, one in project.lock(spec, **options).items()}


def record(spec: Spec, name: str) -> dict[str, Any]:
    found = json.loads(record_path(spec, spec.layer(name)).read_text())
    assert isinstance(found, dict)
    return found


def test_numbers_start_at_one_and_stay(project: Workspace) -> None:
    spec = versioned(project)
    assert numbers(project, spec) == {"py": "py@1", "app-hello": "app-hello@1"}
    before = record(spec, "py")
    assert numbers(project, spec) == {"py": "py@1", "app-hello": "app-hello@1"}
    assert numbers(project, spec, upgrade=True) == {"py": "py@1", "app-hello": "app-hello@1"}
    assert record(spec, "py") == before


def test_other_packages_are_another_number(project: Workspace) -> None:
    numbers(project, versioned(project))
    assert numbers(project, versioned(project, runtime="alpha==1.0")) == {"py": "py@2", "app-hello": "app-hello@2"}


def test_an_edited_module_is_another_number_without_resolving(project: Workspace) -> None:
    spec = versioned(project)
    numbers(project, spec)
    before = lock_path(spec, spec.layer("app-hello")).read_bytes()
    (project.folder / "hello.py").write_text("# edited")
    assert stale_reasons(Project(spec))["app-hello"] == "versioned, and its modules changed since it was locked"
    make_wheel(project.wheels, "beta", "9.0", {"beta.py": ""}, requires=["alpha"])
    assert numbers(project, spec) == {"py": "py@1", "app-hello": "app-hello@2"}
    assert lock_path(spec, spec.layer("app-hello")).read_bytes() == before
    assert set(stale_reasons(Project(spec)).values()) == {None}


def test_a_new_number_below_leaves_what_is_above(project: Workspace) -> None:
    spec = versioned(project)
    numbers(project, spec)
    changed = record(spec, "py") | {"version_inputs_hash": "sha256:other"}
    record_path(spec, spec.layer("py")).write_text(json.dumps(changed))
    stale = stale_reasons(Project(spec))
    assert stale["py"] is not None
    assert stale["app-hello"] is None
    assert numbers(project, spec) == {"py": "py@2", "app-hello": "app-hello@1"}


def test_reset_goes_on_counting(project: Workspace) -> None:
    spec = versioned(project)
    numbers(project, spec)
    make_wheel(project.wheels, "beta", "9.0", {"beta.py": ""}, requires=["alpha"])
    assert numbers(project, spec, request=SelectionRequest(reset=("app-hello",)))["app-hello"] == "app-hello@2"


def test_a_plain_layer_deploys_under_its_name(project: Workspace) -> None:
    spec = project.spec(app=["alpha"])
    assert numbers(project, spec) == {"py": "py", "app-hello": "app-hello"}
    assert record(spec, "py")["lock_version"] == 1


def test_no_number_without_a_record(project: Workspace) -> None:
    spec = versioned(project)
    numbers(project, spec)
    record_path(spec, spec.layer("py")).unlink()
    with pytest.raises(LockError, match="py is versioned, and its lock has no number"):
        deployed_name(spec.layer("py"), Project(spec).locks[0])


@pytest.mark.parametrize(
    ("setting", "variable", "expected"),
    [
        ("2025-08-27 00:00:00+00:00", None, "2025-08-27T00:00:00+00:00"),
        ("2025-08-27", None, "2025-08-28T00:00:00+00:00"),
        ("2025-08-27T00:00:00Z", "2025-01-01T00:00:00Z", "2025-01-01T00:00:00+00:00"),
        ("2999-01-01T00:00:00Z", None, None),
        ("30 days", None, None),
    ],
)
def test_exclude_newer_is_the_time_of_the_lock(
    project: Workspace, setting: str, variable: str | None, expected: str | None
) -> None:
    spec = versioned(project)
    (project.folder / "venvstacks.uv.toml").write_text(f'exclude-newer = "{setting}"\n')
    environment = {"UV_EXCLUDE_NEWER": variable} if variable else {}
    before = datetime.now().astimezone().replace(microsecond=0)
    project.lock(load(spec.path), environment=environment)
    locked_at = record(spec, "py")["locked_at"]
    if expected is None:
        assert before <= datetime.fromisoformat(locked_at) <= datetime.now().astimezone()
    else:
        assert locked_at == expected


def test_a_later_time_is_clamped_without_resolving(project: Workspace) -> None:
    spec = project.spec(app=["alpha"])
    project.lock(spec)
    before = lock_path(spec, spec.layer("app-hello")).read_bytes()
    project.lock(spec, environment={"UV_EXCLUDE_NEWER": "2025-01-01T00:00:00Z"})
    assert record(spec, "app-hello")["locked_at"] == "2025-01-01T00:00:00+00:00"
    assert lock_path(spec, spec.layer("app-hello")).read_bytes() == before


def test_the_summary_tells_own_and_shared_packages(project: Workspace) -> None:
    spec = project.spec(runtime=["alpha==1.0"], app=["beta"])
    project.lock(spec)
    text = (project.folder / "requirements/app-hello/packages-app-hello.txt").read_text()
    assert text == (
        "# Package summary for app-hello\n"
        "#     Auto-generated by vstore (DO NOT EDIT)\n"
        "beta==2.0\n"
        "\n"
        "# Shared packages inherited from other layers\n"
        "alpha==1.0\n"
    )


def test_lost_companions_come_back(project: Workspace) -> None:
    spec = project.spec(runtime=["alpha"])
    project.lock(spec)
    folder = project.folder / "requirements" / "py"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for path in folder.iterdir():
        if path.suffix in (".txt", ".in"):
            path.unlink()
    project.lock(spec)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_spec_elsewhere_is_locked_alike(project: Workspace, tmp_path: Path) -> None:
    """No place of this machine is in a lock."""
    spec = project.spec(runtime=["alpha"], app=["beta"])
    project.lock(spec)
    text = "".join(lock_path(spec, layer).read_text() for layer in spec.layers)
    assert str(tmp_path) not in text
