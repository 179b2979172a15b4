"""Folders are floors (design section 5): what may import what, and how big things may be."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "vstore"
FLOORS = {
    "__main__": 9,
    "cli": 8,
    "api": 7,
    "cluster": 6,
    "realise": 5,
    "publish": 5,
    "environments": 5,
    "report": 5,
    "sbom": 5,
    "audit": 5,
    "build": 4,
    "profile": 4,
    "gc": 4,
    "remote": 4,
    "migration": 4,
    "lock": 3,
    "store": 3,
    "archive": 3,
    "oci": 3,
    "spec": 2,
    "uv": 2,
    "config": 2,
    "workers": 2,
    "fs": 1,
    "credentials": 0,
    "errors": 0,
    "extras": 0,
    "digest": 0,
    "documents": 0,
    "objects": 0,
    "python_version": 0,
    "reporter": 0,
    "sbom_format": 0,
    "cancel": 0,
    "plural": 0,
    "sizes": 0,
    "graph": 0,
    "target": 0,
    "toml": 0,
    "values": 0,
}
PYTHON_COLUMN = {"spec", "uv", "lock", "build", "migration"}  # knows Python, never sees a store
STORE_COLUMN = {"store", "archive", "profile", "gc", "remote"}  # does not know that Python exists
LATE_IMPORTS = {"cli", "api"}  # what is called loads what it needs
USED_BY_CLI = {"api", "cancel", "credentials", "errors", "plural", "reporter", "sizes", "values"}
STANDALONE = {"build.compile_worker"}  # run by other interpreters, imports nothing of ours
LONGEST_FILE = 350
LONGEST_FUNCTION = 60
LONGEST_CLASS = 250
MOST_METHODS = 15  # public ones, properties included
MOST_PARAMETERS = 6
OPTIONS = "cli/commands/"  # click passes each option of a command as a parameter


def module_name(package: Path, file: Path) -> str:
    """``store.index`` for vstore/store/index/objects.py, ``store`` for its `__init__`, empty for the package's own."""
    parts = file.relative_to(package).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def own_imports(package: Path, file: Path, tree: ast.Module) -> Iterator[tuple[str, int, bool]]:
    """Our own modules that a file imports: name without the package's, line, whether inside a function."""
    late = {
        id(inner)
        for outer in ast.walk(tree)
        if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for inner in ast.walk(outer)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(package, file, node)
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            top, _, rest = name.partition(".")
            if top == package.name and rest and _exists(package, rest):
                yield rest, node.lineno, id(node) in late


def _absolute(package: Path, file: Path, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    here = (package.name, *file.relative_to(package).parent.parts)
    return ".".join((*here[: len(here) - node.level + 1], *([node.module] if node.module else [])))


def _exists(package: Path, name: str) -> bool:
    place = package.joinpath(*name.split("."))
    return place.is_dir() or place.with_suffix(".py").is_file()


def violations(package: Path) -> list[str]:
    """Every breach of the rules in a package, each with file and line."""
    found: list[str] = []
    graph: dict[str, set[str]] = {}
    for file in sorted(package.rglob("*.py")):
        text = file.read_text("utf-8")
        tree = ast.parse(text)
        name, place = module_name(package, file), file.relative_to(package).as_posix()
        imports = list(own_imports(package, file, tree))
        graph[name] = {target for target, _, _ in imports if target != name and not name.startswith(f"{target}.")}
        found += [f"{place}:{line}: {what}" for target, line, late in imports for what in _import(name, target, late)]
        if name and name.partition(".")[0] not in FLOORS:
            found.append(f"{place}: on no floor")
        lines = text.count("\n")
        if lines >= LONGEST_FILE:
            found.append(f"{place}: {lines} lines, must be under {LONGEST_FILE}")
        found += _long_functions(place, tree)
        found += _large_interfaces(place, tree)
    return found + _cycles(graph)


def _import(name: str, target: str, late: bool) -> Iterator[str]:
    """The fault of one import."""
    here, there = name.partition(".")[0], target.partition(".")[0]
    if late and here not in LATE_IMPORTS:
        yield f"{target} is imported inside a function"
    if name in STANDALONE:
        yield f"imports {target}, but is to run alone"
    if here == "cli" and there not in USED_BY_CLI | {here}:
        yield f"imports {target}, but the command line uses vstore.api"
    if here == there or not here or here not in FLOORS or there not in FLOORS:
        return
    above, below = FLOORS[here], FLOORS[there]
    if below > above:
        yield f"imports upward: {there} (floor {below}) from {here} (floor {above})"
    elif below == above and above > 0:
        yield f"imports sideways: {there} from {here}, both on floor {above}"
    if {here, there} & PYTHON_COLUMN and {here, there} & STORE_COLUMN and above < FLOORS["realise"]:
        yield f"crosses the columns: {there} from {here}"


def _long_functions(place: str, tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines >= LONGEST_FUNCTION:
                yield f"{place}:{node.lineno}: {node.name} has {lines} lines, must be under {LONGEST_FUNCTION}"


def _large_interfaces(place: str, tree: ast.Module) -> Iterator[str]:
    """Functions with many parameters, and classes with many lines or many public methods."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        where = f"{place}:{node.lineno}: {node.name}"
        if isinstance(node, ast.ClassDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            methods = [one for one in node.body if isinstance(one, ast.FunctionDef) and not one.name.startswith("_")]
            if lines > LONGEST_CLASS:
                yield f"{where} has {lines} lines, at most {LONGEST_CLASS}"
            if len(methods) > MOST_METHODS:
                yield f"{where} has {len(methods)} public methods, at most {MOST_METHODS}"
        elif not place.startswith(OPTIONS):
            arguments = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
            count = sum(one.arg not in ("self", "cls") for one in arguments)
            if count > MOST_PARAMETERS:
                yield f"{where} has {count} parameters, at most {MOST_PARAMETERS}"


def _cycles(graph: dict[str, set[str]]) -> list[str]:
    """Modules that import each other in a circle."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return [f"imports in a circle: {' <- '.join(error.args[1])}"]
    return []


def test_the_floors_hold() -> None:
    assert violations(PACKAGE) == []


@pytest.mark.parametrize("folder", ["scripts", "vstore"])
def test_nothing_but_tests_imports_tests(folder: str) -> None:
    for file in (PACKAGE.parent / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            named = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            named += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not [name for name in named if name.split(".")[0] == "tests"], file


def test_the_checker_looks_at_something() -> None:
    files = sorted(PACKAGE.rglob("*.py"))
    assert len(files) > 20
    imports = [name for file in files for name, _, _ in own_imports(PACKAGE, file, ast.parse(file.read_text("utf-8")))]
    assert {"errors", "fs.trees.manifest", "store", "spec", "lock"} <= set(imports)


def sample(folder: Path, **files: str) -> Path:
    """A small package of this name with the given files (``store__index`` is store/index/objects.py)."""
    package = folder / "vstore"
    for floor in ("store", "lock", "build", "gc", "spec", "api", "cli"):
        (package / floor).mkdir(parents=True)
        (package / floor / "__init__.py").touch()
    (package / "__init__.py").touch()
    (package / "errors.py").touch()
    for name, text in files.items():
        (package / (name.replace("__", "/") + ".py")).write_text(textwrap.dedent(text))
    return package


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("errors", "import vstore.store", "upward"),
        ("store__index", "from vstore.gc import collect", "upward"),
        ("store__index", "from vstore import gc", "upward"),
        ("store__index", "from ..gc import collect", "upward"),
        ("store__index", "import vstore.lock", "sideways"),
        ("build__plan", "from vstore.gc import x", "sideways"),
        ("build__plan", "from vstore.store import Store", "crosses the columns"),
        ("gc__plan", "from vstore.spec import Spec", "crosses the columns"),
        ("store__index", "def f():\n    from vstore.errors import E", "inside a function"),
        ("store__index", "class C:\n    async def f(self):\n        import vstore.errors", "inside a function"),
        ("build__compile_worker", "from vstore.errors import E", "is to run alone"),
        ("store__index", "from vstore.store import verify\n", "circle"),
        ("cli__app", "from vstore.store import x", "uses vstore.api"),
        ("helpers", "", "on no floor"),
        ("store__index", "x = 1\n" * 350, "350 lines"),
        ("store__index", "def f():\n" + "    x = 1\n" * 59, "f has 60 lines"),
        ("store__index", "def f(a, b, c, d, /, e, f, *, g): ...", "f has 7 parameters"),
        ("store__index", "class C:\n" + "    x = 1\n" * 250, "C has 251 lines"),
        ("store__index", "class C:\n" + "\n".join(f"    def m{n}(self): ..." for n in range(16)), "16 public methods"),
    ],
)
def test_the_checker_goes_red(tmp_path: Path, file: str, text: str, said: str) -> None:
    package = sample(tmp_path, store__verify="from vstore.store.index import x\n", **{file: text})
    assert any(said in line for line in violations(package)), violations(package)


def test_the_checker_allows_what_is_allowed(tmp_path: Path) -> None:
    package = sample(
        tmp_path,
        store__index="from vstore.errors import E\n" + "x = 1\n" * 348,
        store__verify="from vstore.store.index import x\nfrom . import index\n",
        api__stores="def f():\n    from vstore.store import verify\n",
        cli__app="def f():\n    from vstore.api import stores\n" + "    x = 1\n" * 57,
        build__plan="from vstore.lock import x\nfrom vstore.spec import y\nimport json, click\n",
    )
    assert violations(package) == []
