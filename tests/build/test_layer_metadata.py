"""What a layer says of itself."""

from pathlib import Path, PurePosixPath

import pytest

from scripts.testing.wheels import make_wheel
from tests.build.layers import SITE, Store, recipe
from vstore.build.layer_metadata import LayerMetadata, read_metadata, write_metadata
from vstore.build.ownership import collect_metadata
from vstore.build.record_file import encode_record_file, read_record_file, resolve_path
from vstore.digest import canonical_json
from vstore.errors import BuildError, StoreError


@pytest.fixture
def layer(tmp_path: Path) -> tuple[Path, LayerMetadata]:
    """A layer of two distributions that share a folder, and a launch module."""
    one = make_wheel(
        tmp_path, "One.Dist", "1", {"one/a.py": "", "one/b/c.py": "", "ns/one/x.py": "", "ns/same.py": ""},
        entry_points={"one": "one.a:main"}, data={"data/share/one/x": "", "data/etc/one": ""},
    )  # fmt: skip
    two = make_wheel(tmp_path, "two", "2", {"two.py": "", "ns/two.py": "", "ns/same.py": ""})
    _, folder, metadata = Store(tmp_path).layer("app", [two, pin_name(one)], [], {"hello.py": ""}, "hello")
    return folder, metadata


def pin_name(wheel: Path) -> Path:
    """The same wheel under the name that PEP 427 wants."""
    return wheel.rename(wheel.with_name(wheel.name.replace("One.Dist", "one_dist")))


def test_a_distribution_owns_the_fewest_paths(layer: tuple[Path, LayerMetadata]) -> None:
    one, two = layer[1].distributions
    assert (one.name, one.version, two.name, two.version) == ("one-dist", "1", "two", "2")
    site = {path.removeprefix(SITE + "/") for path in one.owns}
    assert site - {path for path in site if path.endswith(".dist-info/")} == {
        "one/", "ns/one/", "ns/same.py", "bin/one", "libexec/bin/one", "share/one/", "etc/one",
    }  # fmt: skip
    assert {path.removeprefix(SITE + "/") for path in two.owns} == {
        "two.py",
        "ns/two.py",
        "ns/same.py",
        "two-2.dist-info/",
    }
    assert layer[1].own_modules == (f"{SITE}/hello.py",)


def test_metadata_survive_writing(layer: tuple[Path, LayerMetadata]) -> None:
    folder, metadata = layer
    assert read_metadata(folder) == metadata
    before = (folder / "share/vstore/layer.json").read_bytes()
    write_metadata(folder, metadata)
    assert (folder / "share/vstore/layer.json").read_bytes() == before


def test_sources_are_the_python_files(layer: tuple[Path, LayerMetadata]) -> None:
    folder, metadata = layer
    names = [str(path.relative_to(SITE)) for path in metadata.sources(folder, metadata.distributions[0])]
    assert names == ["ns/one/x.py", "ns/same.py", "one/a.py", "one/b/c.py"]
    assert metadata.own_sources(folder) == [PurePosixPath(SITE, "hello.py")]


def test_a_module_and_a_distribution_may_not_share_a_name(layer: tuple[Path, LayerMetadata], tmp_path: Path) -> None:
    folder, _ = layer
    with pytest.raises(BuildError, match=r"two.py is a module of this layer and of distribution two"):
        collect_metadata(folder, recipe("app", [tmp_path / "two-2-py3-none-any.whl"]), [PurePosixPath(SITE, "two.py")])


@pytest.mark.parametrize(
    "change",
    [{"name": 3}, {"kind": "pie"}, {"python": "3.11.1\0"}, {"python": "../.."},
     {"own": ["a\0b"]}, {"more": 1}, {"distributions": {}}, {"own": ["../x"]}, {"own": ["/x"]}, {"launch_module": 1},
     {"distributions": [{"name": "a", "version": "1", "wheel": "", "owns": ["a//b"]}]}],
)  # fmt: skip
def test_damaged_metadata_are_a_store_error(layer: tuple[Path, LayerMetadata], change: dict[str, object]) -> None:
    folder, metadata = layer
    (folder / "share/vstore/layer.json").write_bytes(canonical_json({**metadata.as_json(), **change}) + b"\n")
    with pytest.raises(StoreError, match=r"damaged share/vstore/layer\.json"):
        read_metadata(folder)


def test_missing_metadata_are_a_store_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="has no share"):
        read_metadata(tmp_path)


@pytest.mark.parametrize("entry", ["/etc/passwd", "../../../../x", "a\\b", "a\0b", "", "../../..", "../../../../../x"])
def test_record_paths_may_not_leave_the_layer(entry: str) -> None:
    with pytest.raises(BuildError, match="refused path"):
        resolve_path(entry, SITE)


def test_record_paths_are_relative_to_site_packages(tmp_path: Path) -> None:
    assert resolve_path("../../../bin/x", SITE) == "bin/x"
    info = f"{SITE}/a-1.dist-info"
    (tmp_path / info).mkdir(parents=True)
    text = '"a, b.py",sha256=x,1\na-1.dist-info/RECORD,,\n../../../bin/x,,\n'
    (tmp_path / info / "RECORD").write_text(text)
    lines = read_record_file(tmp_path, info)
    assert set(lines) == {f"{SITE}/a, b.py", f"{info}/RECORD", "bin/x"}
    assert sorted(encode_record_file(lines.values(), info).decode().splitlines()) == sorted(text.splitlines())


@pytest.mark.parametrize("text", ['"unfinished', "../../../../../x,,\n"])
def test_a_malformed_record_is_a_build_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "RECORD").write_text(text)
    with pytest.raises(BuildError):
        read_record_file(tmp_path, "")
