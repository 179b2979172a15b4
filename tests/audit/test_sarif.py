from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from vstore.audit.model import (
    Audit,
    AuditIgnore,
    Exposure,
    Severity,
    Vulnerability,
    WayKind,
    WayOut,
)
from vstore.audit.sarif import sarif_log
from vstore.objects import StorePath
from vstore.values import replace

_PACKAGE = "@microsoft/jest-sarif"  # has the schema that OASIS publishes, which no package of PyPI has
_MEMBER = "package/lib/schemas/sarif-2.1.0-rtm.5.json"

SPEC = Path("/home/user/my project/spec.toml")
BAD = Vulnerability(
    id="VST-2", aliases=("CVE-2",), package="midlib", version="2.0", summary="a bad thing", url="https://example.org",
    severity=Severity("critical", 9.8), is_malicious=False, fixed_in=("2.1",), layers=("framework-mid",),
    paths=(StorePath("0" * 32, "framework-mid"),),
    exposures=(
        Exposure(
            profile="web", generations=(2,), since=datetime(2026, 1, 1, tzinfo=UTC), is_current=True, applications=(),
            spec=SPEC, way=WayOut(WayKind.ROLLBACK, "vstore rollback web --to 1"),
        ),
    ),
)  # fmt: skip
OF_LOCKS = replace(BAD, paths=(), exposures=(), lock_files=(SPEC.with_name("pylock.framework-mid.toml"),))
QUIET = replace(
    BAD,
    id="VST-1",
    summary="",
    url=None,
    severity=None,
    exposures=(),
    ignored=AuditIgnore("VST-1", "never called", SPEC.with_name("audit.toml")),
)
LOW = replace(BAD, id="VST-3", severity=Severity("low"), layers=(), paths=(), exposures=())


def log_of(*found: Vulnerability) -> Any:
    """Return the document, through its text."""
    shown = tuple(one for one in found if not one.ignored)
    hidden = tuple(one for one in found if one.ignored)
    return json.loads(
        json.dumps(sarif_log(Audit(database="db", advisories=1, packages=1, found=shown, ignored=hidden)))
    )


def test_rules_levels_and_places() -> None:
    (run,) = log_of(BAD, LOW, QUIET)["runs"]
    rules = run["tool"]["driver"]["rules"]
    results = {one["ruleId"]: one for one in run["results"]}
    assert {name: one["level"] for name, one in results.items()} == {
        "VST-1": "warning",
        "VST-2": "error",
        "VST-3": "note",
    }
    assert [rules[one["ruleIndex"]]["id"] for one in run["results"]] == [one["ruleId"] for one in run["results"]]
    assert rules[0]["properties"] == {"tags": ["security", "CVE-2"], "security-severity": "9.8"}
    assert rules[0]["shortDescription"]["text"] == "a bad thing" and rules[0]["helpUri"] == "https://example.org"
    (place,) = results["VST-2"]["locations"]
    assert place["physicalLocation"]["artifactLocation"]["uri"] == "file:///home/user/my%20project/spec.toml"
    assert [one["name"] for one in place["logicalLocations"]] == ["0" * 32 + "-framework-mid"]
    assert results["VST-2"]["message"]["text"] == (
        "midlib 2.0 in framework-mid: VST-2, CVE-2; fixed in 2.1; vstore rollback web --to 1"
    )
    assert results["VST-1"]["suppressions"] == [{"kind": "external", "justification": "never called"}]
    assert "suppressions" not in results["VST-2"]


def test_a_place_below_the_current_folder_is_relative(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (run,) = log_of(replace(OF_LOCKS, lock_files=(tmp_path / "a b" / "pylock.toml",)))["runs"]
    assert run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "a%20b/pylock.toml"


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The schema of SARIF 2.1.0."""
    folder = tmp_path_factory.mktemp("schema")
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed, which fetches the schema of SARIF")
    done = subprocess.run([npm, "pack", "--silent", _PACKAGE], cwd=folder, capture_output=True, text=True, timeout=120)
    if done.returncode:
        pytest.skip(f"npm cannot fetch the schema of SARIF: {done.stderr.strip()[:200]}")
    (file,) = folder.glob("*.tgz")
    with tarfile.open(file) as archive:
        member = archive.extractfile(_MEMBER)
        assert member is not None
        return json.load(member)


@pytest.mark.network
def test_the_schema_of_sarif_accepts_it(schema: Any) -> None:
    for found in ((), (BAD, LOW, QUIET), (OF_LOCKS,)):
        jsonschema.validate(log_of(*found), schema)
    wrong = log_of(BAD)
    wrong["runs"][0]["results"][0]["level"] = "high"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, schema)
