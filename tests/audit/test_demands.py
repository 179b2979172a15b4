from __future__ import annotations

from pathlib import Path

import pytest
from packaging.requirements import Requirement

from scripts.testing.advisories import advisory, fixed_in
from vstore.audit.demands import Demand, allowed_fix, demands_of_spec
from vstore.audit.matching import fixed_versions
from vstore.audit.model import Advisory
from vstore.audit.osv import read_advisories
from vstore.spec import load

SPEC = """
[tool.uv]
constraint-dependencies = ["Pkg<4"]
{more}

[[runtimes]]
name = "python"
python_implementation = "cpython@3.11"
requirements = ["pkg>1", "other"]
"""


def made(*events: dict[str, str], versions: tuple[str, ...] = ()) -> list[Advisory]:
    return read_advisories(advisory("X-1", "pkg", *events, versions=versions))


def demands(*texts: str) -> list[Demand]:
    return [Demand(Requirement(text), "layer x") for text in texts]


def reached(found: list[Advisory], version: str, *texts: str) -> tuple[str | None, tuple[str, ...]]:
    return allowed_fix(found, fixed_versions(found, version), demands(*texts))


def test_the_lowest_fixed_version_that_all_requirements_allow_is_reached() -> None:
    found = made({"introduced": "0"}, {"fixed": "1.5"}, {"introduced": "2"}, {"fixed": "2.3"})
    assert reached(found, "1.1") == ("1.5", ())
    assert reached(found, "1.1", "pkg>=2") == ("2.3", ())
    assert reached(found, "1.1", "pkg==1.5.*", "pkg") == ("1.5", ())


def test_the_requirement_in_the_way_is_named() -> None:
    found = made(*fixed_in("2"))  # type: ignore[arg-type]
    assert reached(found, "1", "pkg<2", "pkg>0") == (None, ("`pkg<2` of layer x does not allow 2",))
    assert reached(found, "1", "pkg @ https://example.org/pkg-1-py3-none-any.whl")[0] is None


def test_an_upgrade_that_ends_at_an_affected_version_is_none() -> None:
    """The newest version that is allowed is the last one of a series whose fix is not."""
    found = made(
        {"introduced": "0"}, {"fixed": "3.2"}, {"introduced": "4.0"}, {"fixed": "4.4"}, versions=("4.0", "4.3")
    )
    assert reached(found, "3.1", "pkg<4") == ("3.2", ())
    assert reached(found, "3.1", "pkg<4.4") == (
        None,
        ("the newest allowed version is 4.3, which is affected", "`pkg<4.4` of layer x does not allow 4.4"),
    )


@pytest.mark.parametrize("more", ["", 'override-dependencies = ["pkg==3"]'])
def test_an_override_stands_for_all_other_requirements(tmp_path: Path, more: str) -> None:
    (tmp_path / "spec.toml").write_text(SPEC.format(more=more))
    found, overridden = demands_of_spec(load(tmp_path / "spec.toml"), "pkg")
    expected = (
        ["`pkg==3` of override-dependencies"]
        if more
        else ["`Pkg<4` of constraint-dependencies", "`pkg>1` of layer python"]
    )
    assert ([str(one) for one in found], overridden) == (expected, bool(more))
