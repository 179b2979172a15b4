"""The Python API: what it names is there, typed, documented, and does what the command line does."""

from __future__ import annotations

import importlib
import inspect
import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import vstore.api
from scripts import api_reference
from scripts.testing.advisories import advisory, fixed_in, write_database
from scripts.testing.world import World, make_world
from vstore import errors
from vstore.api import gc, layers, locks, profiles, realising, stores

MODULES = sorted(one.name for one in pkgutil.iter_modules(vstore.api.__path__) if not one.name.startswith("_"))
STANDARD = {
    "Any",
    "Callable",
    "Collection",
    "False",
    "Iterable",
    "Iterator",
    "Mapping",
    "None",
    "NotRequired",
    "Path",
    "PathLike",
    "Self",
    "Sequence",
    "True",
}


@pytest.mark.parametrize("name", MODULES)
def test_every_name_is_there_typed_and_explained(name: str) -> None:
    module = importlib.import_module(f"vstore.api.{name}")
    for one in module.__all__:
        found = getattr(module, one)
        assert inspect.getdoc(found), f"{name}.{one} is not explained"
        if inspect.isfunction(found):
            assert "return" in found.__annotations__, f"{name}.{one} is not typed"


def test_signatures_name_public_types_only() -> None:
    """No function takes or returns a type, and no value has a field of a type, that the API does not export."""
    modules = [importlib.import_module(f"vstore.api.{name}") for name in MODULES]
    public = {one for module in modules for one in module.__all__} | set(vars(errors)) | STANDARD
    hidden = []
    for module in modules:
        for one in module.__all__:
            shown = list(api_reference.signatures(one, getattr(module, one)))
            named = {word for text in shown for word in re.findall(r"(?<![.\w])[A-Z]\w+", text)}
            hidden += [f"{module.__name__}.{one}: {word}" for word in sorted(named - public - {one})]
    assert hidden == []


def test_a_reporter_is_optional_everywhere() -> None:
    for name in MODULES:
        module = importlib.import_module(f"vstore.api.{name}")
        for one in module.__all__:
            for shown in api_reference.signatures(one, getattr(module, one)):
                for reporter in re.findall(r"\breporter: [^,)]*", shown):
                    assert reporter.endswith(" = None"), f"{name}.{one}: {shown}"


@pytest.mark.slow
def test_the_examples_run(tmp_path: Path, realised: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world = realised.copy(tmp_path / "world")
    monkeypatch.chdir(world.spec.parent)
    write_database(world.spec.parent / "advisories", advisory("X-1", "low", *fixed_in("9")))
    for name in [name for name in os.environ if name.startswith(("VSTORE", "UV_", "PIP_"))]:
        monkeypatch.delenv(name)
    for name, value in {**world.environment(), "VSTORE_ROOT": str(world.root)}.items():
        monkeypatch.setenv(name, value)
    page = api_reference.PAGE.read_text("utf-8")
    sections = re.split(r"^## vstore\.api\.", page, flags=re.MULTILINE)[1:]
    for section in sections:
        (example,) = re.findall(r"^```python\n((?:from|import) .*?)```", section, re.MULTILINE | re.DOTALL)
        exec(compile(example, section.partition("\n")[0], "exec"), {"__name__": "__main__"})


def test_the_docstring_names_every_module() -> None:
    named = set(re.findall(r"`([a-z_]+)`", vstore.api.__doc__ or ""))
    assert named == {name for name in MODULES if not name.startswith("_")}


def test_the_page_is_fresh() -> None:
    assert set(MODULES) == set(api_reference.MODULES)
    assert api_reference.PAGE.read_text("utf-8") == api_reference.page(), "run `python -m scripts.api_reference`"


def test_a_no_op_loads_nothing_that_builds() -> None:
    """What `vstore.api.realising` costs to import: no locking, no building, no caches."""
    said = "import sys, vstore.api.realising; print([name for name in sys.modules if name.startswith('vstore.')])"
    loaded = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True).stdout
    for name in ("vstore.build.builder", "vstore.lock.resolution.resolve", "vstore.remote", "vstore.publish"):
        assert f"'{name}'" not in loaded


@pytest.mark.slow
def test_a_stack_by_library_calls_alone(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    environment = world.environment()
    with stores.open_store(world.root) as store:
        project = locks.Project.load(world.spec, environment=environment)
        options = locks.LockOptions(local_wheels=(world.wheels,), index=False)
        locked = locks.lock(store, project, options=options, environment=environment)
        assert set(locked) == {layer.env_name for layer in project.spec.layers}
        request = realising.Request(spec=world.spec, locked=True, offline=True, environment=environment)
        first = realising.realise(store, request)
        assert first.changed and first.stack is not None and first.generation == 1
        assert not realising.realise(store, request).changed
        assert [one.number for one in profiles.history(store, first.profile)] == [1]
        assert layers.distributions(store, first.stack)["framework-mid"] == {"midlib": "1.0"}
        assert gc.plan_collection(store).victims == ()
        bottom = next(layer.path for layer in first.layers if layer.kind == stores.Kind.INTERPRETER)
        assert bottom is not None
        chain = stores.dependency_chain(store, first.stack, bottom)
        assert chain[0] == first.stack and chain[-1] == bottom


def test_a_request_has_the_variables_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    request = realising.Request(spec=Path("spec.toml"))
    monkeypatch.setenv("UV_OFFLINE", "1")
    assert request.environment["UV_OFFLINE"] == "1"
    assert "environment" in inspect.signature(realising.Request).parameters


def test_limits_that_cannot_be_are_refused(realised: World) -> None:
    with stores.open_store(str(realised.root)) as store, pytest.raises(errors.UsageError, match="at least 1, not -5"):
        gc.limits_of(store, keep=-5)
