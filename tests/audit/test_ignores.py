from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from vstore.audit.ignores import IGNORES_FILE, Ignores, read_ignores
from vstore.audit.model import Audit, Vulnerability
from vstore.errors import UsageError
from vstore.reporter import NullReporter

TODAY = date(2026, 11, 30)
FOUND = Vulnerability(
    id="PYSEC-1", aliases=("CVE-1",), package="pkg", version="1", summary="", url=None, severity=None,
    is_malicious=False, fixed_in=(), layers=(),
)  # fmt: skip


def applied(folder: Path, text: str) -> Audit:
    (folder / IGNORES_FILE).write_text(text)
    audit = Audit(database="db", advisories=1, packages=1, found=(FOUND,))
    return Ignores(folder, today=TODAY, reporter=NullReporter()).applied(audit)


@pytest.mark.parametrize("more", ["", 'package = "Pkg"', "expires = 2026-12-01"])
@pytest.mark.parametrize("identifier", ["PYSEC-1", "CVE-1"])
def test_a_vulnerability_is_ignored_by_any_of_its_identifiers(tmp_path: Path, identifier: str, more: str) -> None:
    found = applied(tmp_path, f'[[ignore]]\nid = "{identifier}"\nreason = "not used"\n{more}')
    assert found.found == () and found.expired == () and found.unused == ()
    assert [one.ignored.reason for one in found.ignored if one.ignored] == ["not used"]


def test_an_expired_ignore_does_not_count_and_is_told(tmp_path: Path) -> None:
    found = applied(tmp_path, '[[ignore]]\nid = "CVE-1"\nreason = "soon"\nexpires = 2026-11-30')
    assert found.found == (FOUND,) and found.ignored == ()
    assert [one.id for one in found.expired] == ["CVE-1"] and found.unused == ()


@pytest.mark.parametrize("text", ['id = "CVE-2"', 'id = "CVE-1"\npackage = "other"'])
def test_an_ignore_that_is_not_needed_is_told(tmp_path: Path, text: str) -> None:
    found = applied(tmp_path, f'[[ignore]]\n{text}\nreason = "x"')
    assert found.found == (FOUND,) and len(found.unused) == 1


@pytest.mark.parametrize(
    "text",
    [
        '[[ignore]]\nid = "CVE-1"',
        '[[ignore]]\nid = "CVE-1"\nreason = " "',
        '[[ignore]]\nid = "CVE-1"\nreason = "x"\nexpires = "2026-12-01"',
        '[[ignore]]\nid = "CVE-1"\nreason = "x"\nexpires = 2026-12-01T00:00:00Z',
        '[[ignore]]\nid = "CVE-1"\nreason = "x"\nuntil = 2026-12-01',
        '[[ignores]]\nid = "CVE-1"\nreason = "x"',
        'ignore = "CVE-1"',
        "ignore = [",
    ],
)
def test_a_malformed_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / IGNORES_FILE).write_text(text)
    with pytest.raises(UsageError, match=r"audit\.toml"):
        read_ignores(tmp_path)


def test_a_folder_without_the_file_has_no_ignores(tmp_path: Path) -> None:
    assert read_ignores(tmp_path) == read_ignores(tmp_path / "none") == ()
