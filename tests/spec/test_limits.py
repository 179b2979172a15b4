"""Enormous specs load, or are refused in one line; a time proportional to the square would outlast the guard."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.spec.specs import PYTHON
from vstore.errors import SpecError
from vstore.spec import load
from vstore.spec.graph import LinearisationError, linearise

_GUARD_SECONDS = 60  # without the mend one of these took from 20 s to minutes on a quiet machine


def frameworks(count: int, *, chained: bool = False) -> str:
    return PYTHON + "".join(
        f'[[frameworks]]\nname = "f{n}"\nrequirements = []\n'
        + (f'frameworks = ["f{n - 1}"]\n' if chained and n else 'runtime = "python"\n')
        for n in range(count)
    )


def specs() -> Iterator[str]:
    yield frameworks(10_000)
    yield frameworks(2_000, chained=True)
    yield PYTHON + "[tool.x]\n" + "".join(f"a.b{n}.c = 1\n" for n in range(50_000))
    yield PYTHON + "".join(
        f'[[frameworks]]\nname = "f{n}"\nrequirements = []\n'
        + (f"frameworks = {[f'f{m}' for m in range(n - 1, max(-1, n - 30), -1)]}\n" if n else 'runtime = "python"\n')
        for n in range(400)
    )


@pytest.mark.slow
def test_enormous_specs_load(tmp_path: Path) -> None:
    paths = []
    for number, text in enumerate(specs()):
        paths.append(tmp_path / f"{number}.toml")
        paths[-1].write_text(text)
    code = "import sys; from pathlib import Path; from vstore.spec import load\nfor p in sys.argv[1:]: load(Path(p))"
    subprocess.run([sys.executable, "-c", code, *paths], check=True, timeout=_GUARD_SECONDS)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "said"),
    [
        (PYTHON + "x" * (5 << 20), "it is larger than the limit of 4194304 bytes"),
        (PYTHON + "\n[[applications]]" * 20_000, "a spec may have at most 20,000 layers"),
        (frameworks(2_502, chained=True), "a layer may be built on at most 2,500 frameworks, found 2,501"),
        (PYTHON + ".".join(["a"] * 50_000) + " = 1\n", "a key of more than 32 parts"),
        (PYTHON + " . ".join(["'a b'", "c", '"d.e"'] * 11) + " = 1\n", "a key of more than 32 parts"),
        (PYTHON + "x = " + "[" * 100_000, "nested too deeply"),
        (PYTHON + "x = " + "{a = " * 100_000, "nested too deeply"),
    ],
)
def test_above_the_limits(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "spec.toml").write_text(text)
    with pytest.raises(SpecError) as caught:
        load(tmp_path / "spec.toml")
    assert said in str(caught.value)


def test_what_is_no_key_has_no_limit_of_parts(tmp_path: Path) -> None:
    text = PYTHON + f'[tool.x]\na.b.c = "{"/".join(["a.b"] * 100)}"\nd = [{", ".join(["1.5"] * 100)}]\n'
    (tmp_path / "spec.toml").write_text(text)
    assert load(tmp_path / "spec.toml").layers[0].name == "python"


def test_one_parent_is_not_merged() -> None:
    assert linearise(["b"], {"b": ("a", "c")}) == ("b", "a", "c")


def test_a_conflict_tells_what_remains() -> None:
    with pytest.raises(LinearisationError) as caught:
        linearise(["d", "e"], {"d": ("a", "b"), "e": ("b", "a")})
    assert caught.value.remaining == (("a", "b"), ("b", "a"))
