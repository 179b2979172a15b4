"""Versions of Python as values."""

from __future__ import annotations

import pytest

from vstore.python_version import PythonRequirement, PythonVersion, feature_version


@pytest.mark.parametrize("text", ["3.9.18", "3.10.0a1", "3.10.0b2", "3.14.0rc1", "3.100.12"])
def test_a_version_survives_reading(text: str) -> None:
    assert str(PythonVersion.parse(text)) == text


@pytest.mark.parametrize("text", ["", "3", "3.11", "3.11.7.1", "3.11.7rc", "03.11.7", "3.11.07", "3.1111.0", "3.11.7 "])
def test_other_text_is_not_a_version(text: str) -> None:
    with pytest.raises(ValueError, match="not a full version"):
        PythonVersion.parse(text)


def test_versions_are_in_the_order_of_their_releases() -> None:
    texts = ["3.9.18", "3.10.0a2", "3.10.0b1", "3.10.0rc1", "3.10.0", "3.10.2", "3.10.10"]
    assert sorted(map(PythonVersion.parse, reversed(texts))) == list(map(PythonVersion.parse, texts))


@pytest.mark.parametrize(
    ("wanted", "version", "allowed"),
    [
        ("cpython@3.11", "3.11.7", True),
        ("cpython@3.11.7", "3.11.7", True),
        ("cpython@3.1", "3.11.7", False),
        ("cpython@3.11.7", "3.11.70", False),
        ("cpython@3.14", "3.14.0rc1", False),
        ("cpython@3.14.0rc1", "3.14.0rc1", True),
        ("cpython", "3.9.1", True),
        ("cpython", "3.15.0a1", False),
        ("cpython@>=3.11,<3.14", "3.11.0", True),
        ("cpython@>=3.11,<3.14", "3.13.9", True),
        ("cpython@>=3.11,<3.14", "3.14.0", False),
        ("cpython@>=3.11,<3.14", "3.14.0b1", False),
        ("cpython@~=3.12.3", "3.12.2", False),
        ("cpython@!=3.12.*", "3.12.2", False),
    ],
)
def test_a_prerelease_must_be_asked_for_in_full(wanted: str, version: str, allowed: bool) -> None:
    assert PythonRequirement.parse(wanted).allows(PythonVersion.parse(version)) == allowed
    assert str(PythonRequirement.parse(wanted)) == wanted


@pytest.mark.parametrize(
    "text",
    ["cpython@", "cpython@3", "cpython>=3.11", "cpython@>=3", "cpython@>=3.11,", "cpython@>=3.11.*", "cpython@^3.11"],
)
def test_other_text_is_not_a_requirement(text: str) -> None:
    with pytest.raises(ValueError, match="not a Python implementation"):
        PythonRequirement.parse(text)


def test_a_range_is_known_without_its_spaces() -> None:
    wanted = PythonRequirement.parse("cpython@ >= 3.11, < 3.14")
    assert str(wanted) == "cpython@>=3.11,<3.14" and wanted.is_range
    assert PythonRequirement.parse("cpython").is_range and not PythonRequirement.parse("cpython@3.11").is_range


def test_the_names_that_a_version_gives() -> None:
    version = PythonVersion.parse("3.11.7")
    assert (version.feature, version.cache_tag, version.safe_path_option) == ("3.11", "cpython-311", "-P")
    assert PythonVersion.parse("3.10.1").safe_path_option == "-I"
    assert feature_version("3.11.7") == feature_version("3.11") == "3.11"
