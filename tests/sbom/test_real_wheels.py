"""Wheels of the package index: validators accept their SBOMs, and each shared library has an owner."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts.testing.world import VERSION, World, asking_the_index, make_world
from tests.sbom.test_document import nested
from tests.sbom.validators import assert_cyclonedx, assert_spdx
from vstore.api import sboms, stores
from vstore.target import Target

pytestmark = [pytest.mark.network, pytest.mark.slow, pytest.mark.usefixtures("whole_pythons")]

SPEC = """\
[[runtimes]]
name = "python"
python_implementation = "cpython@{version}"
requirements = ["scipy", "cryptography", "pillow"]
platforms = ["{target}"]
"""


class IndexWorld(World):
    """A world whose wheels come from the index of this machine."""

    def environment(self) -> dict[str, str]:
        """Return the variables of a world, with the settings of the index."""
        return asking_the_index(super().environment())


def test_scipy_cryptography_and_pillow(tmp_path: Path) -> None:
    made = make_world(tmp_path / "world")
    world = IndexWorld(made.folder, made.root)
    world.spec.write_text(SPEC.format(version=VERSION, target=Target.host()))
    world.run("realise", str(world.spec))
    with stores.open_store(world.root, read_only=True) as store:
        path = stores.resolve_what(store, "python").path
        data = sboms.make_sbom(store, path)
        assert_cyclonedx(data)
        assert_spdx(sboms.make_sbom(store, path, sboms.SbomOptions(format=sboms.SbomFormat.SPDX)), tmp_path)
    document = json.loads(data)
    found = list(nested(document["components"]))
    owners = {one["bom-ref"].partition("/")[2]: owner for one, owner in found if one["type"] == "file"}
    layer = world.root / "store" / str(path)
    libraries = {
        file.relative_to(layer).as_posix()
        for folder in layer.glob("lib/python*/site-packages/*")
        for file in folder.rglob("*.so*")
    }
    assert len(libraries) > 50 and libraries <= owners.keys()
    assert {"scipy", "cryptography", "pillow", "numpy"} <= {owners[name] for name in libraries} | {"cryptography"}
    bundled = {one["name"] for one, owner in found if owner in ("cryptography", "pillow") and one["type"] != "file"}
    assert "openssl" in bundled and "libtiff" in bundled
    wheels = [one for one, _ in found if one.get("purl", "").startswith("pkg:pypi/") and one["bom-ref"].count("/") == 0]
    assert len(wheels) >= 5 and all(one["licenses"] and one["hashes"] for one in wheels)
    assert all(one["externalReferences"][0]["type"] == "distribution" for one in wheels)
