from __future__ import annotations

import json

import pytest

from scripts.testing.advisories import CRITICAL, advisory, fixed_in
from vstore.audit.model import Bound
from vstore.audit.osv import parse_document, read_advisories

YAML = b"""
id: PYSEC-2026-1
aliases: [CVE-2026-1]
details: |
  A long
  story.

  With a second paragraph.
affected:
- package: {name: Some.Package, ecosystem: PyPI}
  ranges:
  - type: GIT
    events: [{introduced: abc}]
  - type: ECOSYSTEM
    events:
    - introduced: '0'
    - fixed: 1.0.1
  versions: ['0.9', '1.0.0']
references:
- {type: WEB, url: "https://example.org/web"}
- {type: ADVISORY, url: "https://example.org/advisory"}
"""


def test_yaml_and_json_are_the_same() -> None:
    document = parse_document("a.yaml", YAML)
    assert parse_document("a.json", json.dumps(document).encode()) == document
    (one,) = read_advisories(document)
    assert (one.id, one.package, one.aliases) == ("PYSEC-2026-1", "some-package", ("CVE-2026-1",))
    assert one.summary == "A long story."
    assert one.url == "https://example.org/advisory"
    assert one.ranges == (((Bound.INTRODUCED, "0"), (Bound.FIXED, "1.0.1")),)
    assert one.versions == ("0.9", "1")


def test_an_advisory_about_several_packages_is_one_for_each() -> None:
    document = advisory("X-1", "one", *fixed_in("2"), vector=CRITICAL)
    other = {"package": {"ecosystem": "npm", "name": "one"}, "versions": ["1"]}
    second = {"package": {"ecosystem": "PyPI", "name": "two"}, "versions": ["1"]}
    document["affected"] = [*document["affected"], other, second]  # type: ignore[misc]
    assert [(one.package, one.versions) for one in read_advisories(document)] == [("one", ()), ("two", ("1",))]


def test_a_withdrawn_advisory_is_left_out() -> None:
    assert read_advisories(advisory("X-1", "one", *fixed_in("2"), withdrawn="2026-01-01T00:00:00Z")) == []


def test_the_word_of_the_database_is_found() -> None:
    (one,) = read_advisories(advisory("X-1", "one", *fixed_in("2"), database_specific={"severity": "MODERATE"}))
    assert one.word == "moderate"


@pytest.mark.parametrize(
    "document",
    [
        [],
        {"id": 1, "affected": [{"package": {"ecosystem": "PyPI", "name": "one"}}]},
        {"affected": [{"package": {"ecosystem": "PyPI", "name": "one"}}]},
        {"id": "X-1", "affected": [{"package": {"ecosystem": "PyPI"}}]},
        {"id": "X-1", "affected": {"package": "one"}},
        advisory("X-1", "one", {"fixed": "1"}),
        advisory("X-1", "one", {"introduced": "0", "fixed": "1"}),
        advisory("X-1", "one", {"opened": "0"}),
        advisory("X-1", "one", {"introduced": 0}),  # type: ignore[dict-item]
        advisory("X-1", "one", versions=[1]),  # type: ignore[list-item]
        advisory("X" * 201, "one", *fixed_in("2")),
        advisory("X-1", "one", *fixed_in("2"), aliases=["X" * 201]),
    ],
)
def test_a_malformed_document_is_refused(document: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_advisories(document)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.json", b"{"),
        ("a.json", b"\xff\xfe\x00"),
        ("a.json", b"[" * 100_000),
        ("a.json", b'{"id": "\\ud800"}'),
        ("a.yaml", b"a: [b"),
        ("a.yaml", b"[" * 100_000),
        ("a.yaml", b'{"id": "\\ud800"}'),
        ("a.yaml", b"a: &x [1]\nb: *x\n"),
        ("a.yaml", b"a: !!python/object/apply:os.system [ls]\n"),
    ],
)
def test_hostile_files_are_refused(name: str, data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_document(name, data)


def test_an_ampersand_in_a_text_is_no_anchor() -> None:
    assert parse_document("a.yaml", b"a: see &lt;this&gt; &now\n") == {"a": "see &lt;this&gt; &now"}


def test_a_bound_that_is_no_version_gives_way_to_the_explicit_versions() -> None:
    events = {"introduced": "0"}, {"fixed": "2019-09-12-x"}
    (listed,) = read_advisories(advisory("X-1", "one", *events, versions=["1.0"]))
    assert listed.ranges == () and listed.versions == ("1",)
    (opened,) = read_advisories(advisory("X-1", "one", *events))
    assert opened.ranges == (((Bound.INTRODUCED, "0"),),)
