"""Merging the layers below: which files are seen, and whose they are."""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.testing.wheels import make_wheel
from tests.build.layers import LAYOUT, SITE, Store
from vstore.build.clashes import describe_clashes
from vstore.build.layer_metadata import Distribution, LayerMetadata
from vstore.build.links import Dependency, Leaf, LinkPlan, link_dependencies, plan_links, relative_target
from vstore.objects import Kind
from vstore.python_version import PythonVersion
from vstore.target import Target

SITE_311 = "lib/python3.11/site-packages"
Files = dict[str, str]
Layer = dict[str, Files]  # distribution → its files


class Memory:
    """Layers in memory; counts what is listed and read."""

    def __init__(self, *layers: Layer) -> None:
        self.files: list[Files] = [{path: data for d in layer.values() for path, data in d.items()} for layer in layers]
        self.listed: list[tuple[int, str]] = []
        self.compared = 0

    def entries(self, layer: int, folder: str) -> Mapping[str, bool]:
        self.listed.append((layer, folder))
        found: dict[str, bool] = {}
        for path in self.files[layer]:
            if path.startswith(folder + "/"):
                name, _, rest = path.removeprefix(folder + "/").partition("/")
                found[name] = bool(rest)
        return found

    def same(self, one: Leaf, other: Leaf) -> bool:
        self.compared += 1
        return self.files[one.layer][one.path] == self.files[other.layer][other.path]


def metadata_of(number: int, layer: Layer) -> LayerMetadata:
    """Facts whose claims are as small as they may be (no folders), unless one distribution has a whole folder."""
    distributions = []
    for name, files in layer.items():
        owns = set()
        for path in files:
            parts = path.split("/")
            for depth in range(len(PurePosixPath(SITE).parts) + 1, len(parts)):
                prefix = "/".join(parts[:depth]) + "/"
                if not any(p.startswith(prefix) for other, fs in layer.items() if other != name for p in fs):
                    owns.add(prefix)
                    break
            else:
                owns.add(path)
        distributions.append(Distribution(name=name, version="1", wheel="0" * 64, owns=tuple(sorted(owns))))
    return LayerMetadata(
        name=f"layer{number}",
        kind=Kind.FRAMEWORK,
        target=Target.LINUX_X86_64,
        python=PythonVersion(3, 11, 7),
        distributions=tuple(distributions),
    )


def site(**files: str) -> Files:
    return {f"lib/python3.11/site-packages/{path.replace('__', '/')}": data for path, data in files.items()}


def at(files: Files) -> Files:
    return {f"lib/python3.11/site-packages/{path}": data for path, data in files.items()}


def plan(*layers: Layer) -> tuple[LinkPlan, Memory]:
    memory = Memory(*layers)
    described = [metadata_of(number, layer) for number, layer in enumerate(layers)]
    return plan_links(described[0], described[1:], memory), memory


def linked(*layers: Layer) -> dict[str, int]:
    inside = "lib/python3.11/site-packages/"
    return {link.path.removeprefix(inside): link.layer for link in plan(*layers)[0].links}


def test_a_package_is_one_link() -> None:
    low = {"foo": at({"foo/a.py": "", "foo/b/c.py": "", "foo-1.dist-info/METADATA": "", "foo-1.dist-info/RECORD": ""})}
    assert linked({}, low) == {"foo": 1, "foo-1.dist-info/METADATA": 1, "foo-1.dist-info/RECORD": 1}


def test_namespace_packages_of_three_layers_are_merged() -> None:
    app = {"a": at({"ns/a/x.py": "", "ns/deep/a.py": ""})}
    mid = {"b": at({"ns/b/x.py": "", "ns/deep/b/y.py": ""})}
    low = {"c": at({"ns/c/x.py": "", "ns/deep/c.py": ""}), "d": at({"ns/d.py": ""})}
    assert linked(app, mid, low) == {"ns/b": 1, "ns/deep/b": 1, "ns/c": 2, "ns/deep/c.py": 2, "ns/d.py": 2}


def test_folders_that_became_shared_are_no_longer_owned() -> None:
    result, _ = plan({"a": at({"ns/a/x.py": "", "ns/top.py": "", "a.py": ""})}, {"b": at({"ns/b/x.py": ""})})
    owned = {path.removeprefix("lib/python3.11/site-packages/") for path in result.metadata.distributions[0].owns}
    assert owned == {"ns/a/", "ns/top.py", "a.py"}


def test_the_nearest_distribution_hides_the_others_wholly() -> None:
    near = {"foo": at({"foo/new.py": "2", "foo-2.dist-info/RECORD": ""})}
    far = {"foo": at({"foo/old.py": "1", "foo_old/x.py": "", "foo-1.dist-info/RECORD": ""})}
    assert linked({}, near, far) == {"foo": 1, "foo-2.dist-info/RECORD": 1}
    assert linked(near, far) == {}


def clashes(*layers: Layer) -> set[tuple[str, str, str]]:
    inside = "lib/python3.11/site-packages/"
    return {(one.path.removeprefix(inside), one.kept, one.hidden) for one in plan(*layers)[0].metadata.clashes}


def test_of_clashing_files_the_nearest_is_there_and_the_rest_is_merged() -> None:
    near = {"a": at({"tests/__init__.py": "a", "tests/a.py": ""})}
    far = {"b": at({"tests/__init__.py": "b", "tests/b.py": "", "b/x.py": ""}), "c": at({"tests/c.py": ""})}
    assert linked(near, far) == {"b": 1, "tests/b.py": 1, "tests/c.py": 1}
    assert linked({}, near, far) == {
        "b": 2, "tests/__init__.py": 1, "tests/a.py": 1, "tests/b.py": 2, "tests/c.py": 2,
    }  # fmt: skip
    assert clashes(near, far) == clashes({}, near, far) == {("tests/__init__.py", "a", "b")}


def test_a_clash_names_the_layers() -> None:
    (clash,) = plan({}, {"a": at({"x.py": "a"})}, {"b": at({"x.py": "b"})})[0].metadata.clashes
    assert (clash.kept_layer, clash.hidden_layer) == ("layer1", "layer2")
    assert describe_clashes([clash]) == [f"1 file of b (layer2) hidden by a (layer1): {clash.path}"]


def test_equal_files_do_not_clash() -> None:
    near, far = (
        {"a": at({"tests/__init__.py": "", "tests/a.py": ""})},
        {"b": at({"tests/__init__.py": "", "tests/b.py": ""})},
    )
    assert linked({}, near, far) == {"tests/__init__.py": 1, "tests/a.py": 1, "tests/b.py": 2}


def test_a_file_and_a_folder_of_one_name_clash() -> None:
    file, folder = {"a": at({"x": ""})}, {"b": at({"x/y.py": "", "x/z.py": "", "b.py": ""})}
    assert linked(file, folder) == {"b.py": 1}
    assert clashes(file, folder) == {("x", "a", "b")}
    assert linked(folder, file) == {}
    assert clashes(folder, file) == {("x", "b", "a")}


def test_a_module_and_a_package_of_one_name_are_both_there() -> None:
    assert linked({"a": at({"x.py": ""})}, {"b": at({"x/__init__.py": ""})}) == {"x": 1}
    assert linked({"a": at({"x/__init__.py": ""})}, {"b": at({"x.py": ""})}) == {"x.py": 1}
    assert linked({}, {"b": at({"x.py": "", "x/data.txt": ""})}) == {"x": 1, "x.py": 1}


def test_a_nearer_module_of_a_layer_hides_a_farther_distribution() -> None:
    far: Layer = {"b": at({"x.py": "b"})}
    memory = Memory({}, {"": at({"x.py": "module"})}, far)
    near = replace(metadata_of(1, {}), own_modules=(f"{SITE_311}/x.py",))
    result = plan_links(metadata_of(0, {}), [near, metadata_of(2, far)], memory)
    assert [(link.layer, link.path) for link in result.links] == [(1, f"{SITE_311}/x.py")]
    assert describe_clashes(result.metadata.clashes)[0].startswith("1 file of b (layer2) hidden by a module of layer1")


def test_a_module_folder_that_became_shared_is_no_longer_the_layers_own() -> None:
    own = replace(metadata_of(0, {}), own_modules=(f"{SITE_311}/ns/",))
    memory = Memory({"": at({"ns/mine.py": ""})}, {"b": at({"ns/b.py": ""})})
    result = plan_links(own, [metadata_of(1, {"b": at({"ns/b.py": ""})})], memory)
    assert result.metadata.own_modules == (f"{SITE_311}/ns/mine.py",)


def test_bytecode_comes_with_a_module_that_is_linked_alone() -> None:
    own = Memory(
        {}, {"six": at({"six.py": "", "__pycache__/six.cpython-311.pyc": "", "__pycache__/other.cpython-311.pyc": ""})}
    )
    low = metadata_of(1, {"six": at({"six.py": ""})})
    links = plan_links(metadata_of(0, {}), [low], own).links
    assert [PurePosixPath(link.path).name for link in links] == ["six.cpython-311.pyc", "six.py"]


def test_cost_is_that_of_opened_folders() -> None:
    def layers(count: int) -> tuple[Layer, Layer]:
        big = at(
            {f"big/sub{n % 100}/m{n}.py": "" for n in range(count)} | {"ns/b/x.py": "", "big-1.dist-info/RECORD": ""}
        )
        return {"a": at({"ns/a/x.py": ""})}, {"big": big}

    small, large = plan(*layers(20)), plan(*layers(20_000))
    assert small[0].links == large[0].links
    assert small[1].listed == large[1].listed
    assert len(large[1].listed) == 3


PIECES = ["ns", "x", "y", "x.py", "__init__.py", "d.txt"]
PATHS = st.lists(st.sampled_from(PIECES), min_size=1, max_size=3).map("/".join)
DISTRIBUTIONS = st.dictionaries(PATHS, st.sampled_from(["", "1", "2"]), min_size=1, max_size=5)


def without_overlaps(layer: dict[str, Files]) -> Layer:
    """Keep what can lie in one folder: a path is a file or a folder, and is one distribution's."""
    kept: Layer = {}
    taken: set[str] = set()
    folders: set[str] = set()
    for name, files in layer.items():
        for path, data in sorted(files.items()):
            above = {str(parent) for parent in PurePosixPath(path).parents} - {"."}
            if path in taken or path in folders or above & taken:
                continue
            taken.add(path)
            folders |= above
            kept.setdefault(name, {})[path] = f"{data}"
    return {name: at(files) for name, files in kept.items()}


LAYERS = st.lists(
    st.dictionaries(st.sampled_from("abcd"), DISTRIBUTIONS, max_size=3).map(without_overlaps), min_size=1, max_size=4
)


def look(layers: list[Layer], result: LinkPlan) -> dict[str, tuple[int, str]]:
    """What one sees in the layer: path → (layer, data), links followed."""
    seen = {path: (0, data) for files in layers[0].values() for path, data in files.items()}
    for link in result.links:
        for files in layers[link.layer].values():
            for path, data in files.items():
                if path == link.target or path.startswith(link.target + "/"):
                    where = link.path + path.removeprefix(link.target)
                    assert where not in seen, "a link is put where something is"
                    seen[where] = (link.layer, data)
    return seen


def expected(layers: list[Layer]) -> tuple[dict[str, set[str]], set[str]]:
    """Path → what one folder with the nearest distributions would have there, and the paths that clash."""
    nearest = {name: files for layer in reversed(layers) for name, files in layer.items()}
    found: dict[str, set[str]] = {}
    for files in nearest.values():
        for path, data in files.items():
            found.setdefault(path, set()).add(data)
    folders = {str(parent) for path in found for parent in PurePosixPath(path).parents}
    return found, {path for path, data in found.items() if len(data) > 1 or path in folders}


@settings(max_examples=300, deadline=None)
@given(LAYERS)
def test_any_split_over_layers_gives_one_folder(layers: list[Layer]) -> None:
    """Every file of the nearest distributions is there, but for clashes, and each of these is told."""
    result, _ = plan(*layers)
    seen = look(layers, result)
    wanted, clashing = expected(layers)
    told = {one.path for one in result.metadata.clashes}
    below_a_file = {path for path in wanted if told & {str(parent) for parent in PurePosixPath(path).parents}}
    assert told <= clashing <= told | below_a_file
    assert seen.keys() <= wanted.keys() <= seen.keys() | clashing | below_a_file
    for path in seen.keys() - clashing:
        assert {seen[path][1]} == wanted[path]
    folders = {str(parent) for path in seen for parent in PurePosixPath(path).parents}
    assert not folders & seen.keys()


@settings(max_examples=120, deadline=None)
@given(LAYERS)
def test_a_hidden_distribution_is_nowhere(layers: list[Layer]) -> None:
    nearest = {name: number for number, layer in reversed(list(enumerate(layers))) for name in layer}
    owners: dict[tuple[int, str], set[str]] = {}
    for number, layer in enumerate(layers):
        for name, files in layer.items():
            for path in files:
                owners.setdefault((number, path), set()).add(name)
    for path, (number, _) in look(layers, plan(*layers)[0]).items():
        assert any(nearest[name] == number for name in owners[number, path]), f"{path} is of a hidden distribution"


@settings(max_examples=120, deadline=None)
@given(LAYERS)
def test_the_nearest_wins_a_clash(layers: list[Layer]) -> None:
    nearest = {name: number for number, layer in reversed(list(enumerate(layers))) for name in layer}
    seen = look(layers, plan(*layers)[0])
    files = [path for name, number in nearest.items() for path in layers[number][name]]
    folders = {str(parent) for path in files for parent in PurePosixPath(path).parents}
    for path in seen.keys() - folders:
        assert seen[path][0] == min(n for name, n in nearest.items() if path in layers[n][name])


@settings(max_examples=60, deadline=None)
@given(LAYERS)
def test_links_are_sorted_and_lead_to_what_their_owner_has(layers: list[Layer]) -> None:
    result, memory = plan(*layers)
    assert list(result.links) == sorted(set(result.links))
    paths = {link.path for link in result.links}
    assert not any(str(parent) in paths for path in paths for parent in PurePosixPath(path).parents)
    for link in result.links:
        assert any(p == link.target or p.startswith(link.target + "/") for p in memory.files[link.layer])


def test_relative_targets_count_the_depth() -> None:
    assert relative_target("x", "obj", "x") == "../obj/x"
    assert relative_target("lib/a/b", "obj", "lib/a/b") == "../../../obj/lib/a/b"


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dependency, Dependency, Dependency]:
    """Three real layers, lowest last, that share a namespace package, share/ and etc/."""
    folder = tmp_path_factory.mktemp("links")
    store = Store(folder)
    wheels = []
    for name in ("low", "mid", "top"):
        files = {f"ns/{name}/__init__.py": f"NAME = '{name}'\n", f"{name}_alone.py": f"NAME = '{name}'\n"}
        data = {f"data/share/jupyter/{name}.json": name, f"data/etc/{name}.d/conf": name, "data/share/man/man1/x.1": ""}
        wheels.append(make_wheel(folder, f"{name}-dist", "1", files | {f"{name}.pth": f"# {name}\n"}, data=data))
    low = store.layer("low", [wheels[0]])
    pyc = f"__pycache__/low_alone.{__import__('sys').implementation.cache_tag}.pyc"
    (low[1] / SITE / "__pycache__").mkdir()
    (low[1] / SITE / pyc).write_text("")
    mid = store.layer("mid", [wheels[1]], [low])
    return store.layer("top", [wheels[2]], [mid, low]), mid, low


def test_real_layers_share_everything(three: tuple[Dependency, Dependency, Dependency]) -> None:
    (_, top, _), (mid, _, _), (low, _, _) = three
    code = (
        "import ns.low, ns.mid, ns.top, low_alone; print(ns.low.NAME, ns.mid.NAME, ns.top.NAME, *map(str, ns.__path__))"
    )
    done = subprocess.run([top / "bin/python", "-Bc", code], capture_output=True, text=True, check=True)
    assert done.stdout == f"low mid top {top / SITE / 'ns'}\n"
    assert os.readlink(top / SITE / "ns/low") == f"../../../../../{low}/{SITE}/ns/low"
    assert os.readlink(top / SITE / "ns/mid") == f"../../../../../{mid}/{SITE}/ns/mid"
    assert sorted(path.name for path in (top / "share/jupyter").iterdir()) == ["low.json", "mid.json", "top.json"]
    assert sorted(path.name for path in (top / "etc").iterdir()) == ["low.d", "mid.d", "top.d"]
    assert (top / "etc/low.d").is_symlink() and not (top / "share/man/man1/x.1").is_symlink()
    assert {path.name for path in (top / SITE).glob("*.pth")} == {"low.pth", "mid.pth", "top.pth"}


def test_metadata_is_a_real_folder_with_links(three: tuple[Dependency, Dependency, Dependency]) -> None:
    (_, top, _), _, (low, _, _) = three
    info = top / SITE / "low_dist-1.dist-info"
    assert info.is_dir() and not info.is_symlink()
    assert {path.name for path in info.iterdir()} == {"METADATA", "RECORD", "WHEEL", "INSTALLER"}
    assert os.readlink(info / "RECORD") == f"../../../../../{low}/{SITE}/low_dist-1.dist-info/RECORD"
    code = "import importlib.metadata as m; print(*sorted(d.name for d in m.distributions()))"
    done = subprocess.run([top / "bin/python", "-Bc", code], capture_output=True, text=True, check=True)
    assert done.stdout == "low-dist mid-dist top-dist\n"


def test_bytecode_of_single_modules_is_linked(three: tuple[Dependency, Dependency, Dependency]) -> None:
    caches = [path for path in (three[0][1] / SITE / "__pycache__").iterdir() if path.is_symlink()]
    assert [path.name.partition(".")[0] for path in caches] == ["low_alone"]
    assert caches[0].resolve().parent == three[2][1] / SITE / "__pycache__"


def test_every_link_leads_somewhere_in_one_step(three: tuple[Dependency, Dependency, Dependency]) -> None:
    for _, folder, _ in three[:2]:
        links = [path for path in folder.rglob("*") if path.is_symlink() and path.parent.name != "libexec"]
        assert links
        for path in links:
            assert path.exists() and not (path.parent / os.readlink(path)).is_symlink(), path


def test_a_hidden_distribution_leaves_no_trace_in_a_shared_folder(tmp_path: Path) -> None:
    store = Store(tmp_path)
    old = make_wheel(tmp_path, "lib", "1", {"ns/lib_old.py": ""})
    new = make_wheel(tmp_path, "lib", "2", {"ns/lib_new.py": ""})
    other = make_wheel(tmp_path, "other", "1", {"ns/other.py": ""})
    low = store.layer("low", [old])
    mid = store.layer("mid", [other], [low])
    side = store.layer("side", [new], [low])
    _, top, _ = store.layer("top", [], [side, mid, low])
    assert {path.name for path in (top / SITE / "ns").iterdir()} == {"lib_new.py", "other.py"}


def test_linking_again_gives_the_same(tmp_path: Path, three: tuple[Dependency, Dependency, Dependency]) -> None:
    names = []
    for place in ("one", "two"):
        own = LayerMetadata(name="x", kind=Kind.FRAMEWORK, target=LAYOUT.target, python=LAYOUT.python)
        (tmp_path / place).mkdir()
        link_dependencies(tmp_path / place, own, three)
        names.append(
            sorted(
                (str(p.relative_to(tmp_path / place)), os.path.islink(p) and os.readlink(p))
                for p in (tmp_path / place).rglob("*")
            )
        )
    assert names[0] == names[1] != []


NAMES = ("ant", "bee", "cat")
INIT = "__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n"
REAL_FILES = st.dictionaries(
    st.sampled_from(
        ["ns/__init__.py", "ns/a.py", "ns/deep/b.py", "tests/__init__.py", "tests/t.py", "one.py", "own/m.py"]
    ),
    st.sampled_from(["", INIT, f"{INIT}# other\n"]),
    max_size=4,
)
REAL = st.tuples(
    st.fixed_dictionaries(dict.fromkeys(NAMES, REAL_FILES)),
    st.lists(st.sampled_from(["tool", "other"]), min_size=3, max_size=3),
    st.lists(st.integers(0, 2), min_size=3, max_size=3),
)


def whole(layer: Path) -> dict[str, bytes]:
    """Every file that one sees in a layer, links followed, but for those with its name and its interpreter's place."""
    found = {}
    own = ("libexec/python", "libexec/lib/", "libexec/include/", "share/vstore/", "bin/activate", "bin/Activate")
    for folder, _, names in os.walk(layer, followlinks=True):
        for name in names:
            path = str(Path(folder, name).relative_to(layer))
            if not path.startswith(own):
                found[path] = Path(folder, name).read_bytes()
    return found


@settings(max_examples=8, deadline=None)
@given(REAL)
def test_real_wheels_split_over_layers_give_what_one_layer_gives(
    tmp_path_factory: pytest.TempPathFactory, case: tuple[dict[str, Files], list[str], list[int]]
) -> None:
    contents, scripts, places = case
    folder = tmp_path_factory.mktemp("split")
    store = Store(folder)
    wheels = {
        name: make_wheel(
            folder,
            name,
            "1",
            {f"{name}.py": "", **files},
            entry_points={script: f"{name}:main"},
            data={f"data/share/x/{name}": "", "data/etc/shared": name},
        )
        for (name, files), script in zip(contents.items(), scripts, strict=True)
    }
    _, one, metadata_of = store.layer("one", list(wheels.values()))
    dependencies: list[Dependency] = []
    for place in (2, 1, 0):
        here = [wheel for wheel, at_place in zip(wheels.values(), places, strict=True) if at_place == place]
        dependencies.insert(0, store.layer(f"split{place}", here, dependencies))
    clashing = {clash.path for clash in dependencies[0][2].clashes}
    assert clashing == {clash.path for clash in metadata_of.clashes}
    told = {f"libexec/{path}" for path in clashing} | clashing
    told |= {f"{SITE}/{name}-1.dist-info/RECORD" for c in dependencies[0][2].clashes for name in (c.kept, c.hidden)}
    left, right = whole(one), whole(dependencies[0][1])
    assert left.keys() == right.keys()
    assert {path for path in left if left[path] != right[path]} <= told
