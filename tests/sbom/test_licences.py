from __future__ import annotations

import pytest

from vstore.sbom.licences import declared_licences, licences
from vstore.sbom.model import Licence

BSD = "License :: OSI Approved :: BSD License"


@pytest.mark.parametrize(
    ("expression", "text", "classifiers", "expected"),
    [
        ("mit or apache-2.0", "BSD", [BSD], [("MIT OR Apache-2.0", True)]),
        ("not an expression", None, [], [("not an expression", False)]),
        (None, "BSD-3-Clause", [BSD], [("BSD-3-Clause", True)]),
        (None, "BSD", [BSD], [("BSD License", False)]),
        (None, "BSD\nin many lines", [], [("BSD", False)]),
        (None, "UNKNOWN", [], []),
        (None, None, ["License :: OSI Approved", "Topic :: x"], []),
        (
            None,
            None,
            [BSD, BSD, "License :: OSI Approved :: MIT License"],
            [("BSD License", False), ("MIT License", False)],
        ),
        (None, "(" * 300, [], [("(" * 200, False)]),
        (None, "(" * 5000, [], [("(" * 200, False)]),
        (None, "MIT", [], [("MIT", True)]),
    ],
)
def test_the_licences_of_a_distribution(
    expression: str | None, text: str | None, classifiers: list[str], expected: list[tuple[str, bool]]
) -> None:
    assert declared_licences(expression, text, classifiers) == tuple(Licence(*one) for one in expected)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["MIT", "mit"], [("MIT", True)]),
        (["MIT OR Zlib", "0BSD"], [("(MIT OR Zlib) AND 0BSD", True)]),
        (["MIT", "own licence"], [("MIT", False), ("own licence", False)]),
        ([None, "NOASSERTION", "NONE", " "], []),
    ],
)
def test_several_licences_hold_together(texts: list[str | None], expected: list[tuple[str, bool]]) -> None:
    assert licences(texts) == tuple(Licence(*one) for one in expected)
