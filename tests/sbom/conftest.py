"""A stack whose wheels have shared libraries, licences of all kinds, extras, and SBOMs of their own."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from scripts.testing.mirror import PROGRAMS
from scripts.testing.wheels import make_wheel
from scripts.testing.world import VERSION, World, make_world
from vstore.api import sboms, stores
from vstore.target import Target

SPEC = """\
[[runtimes]]
name = "python"
python_implementation = "cpython@{version}"
requirements = ["low", "native"]
platforms = ["{target}"]

[[frameworks]]
name = "mid"
runtime = "python"
requirements = ["midlib==1.0"]

[[applications]]
name = "hello"
launch_module = "hello.py"
support_modules = ["helper"]
frameworks = ["mid"]
requirements = ["server[fast]"]
"""
AUDITWHEEL = {
    "bomFormat": "CycloneDX",
    "specVersion": "1.4",
    "version": 1,
    "metadata": {
        "component": {"type": "library", "bom-ref": "own", "name": "native", "purl": "pkg:pypi/native@1.0?file_name=x"},
        "tools": [{"name": "auditwheel"}],
    },
    "components": [
        {"type": "library", "bom-ref": "own", "name": "native", "purl": "pkg:pypi/native@1.0?file_name=x"},
        {
            "type": "library",
            "bom-ref": "gfortran#1",
            "name": "libgfortran",
            "version": "8.5.0",
            "purl": "pkg:rpm/almalinux/libgfortran@8.5.0",
            "licenses": [{"license": {"id": "GPL-3.0-or-later"}}],
        },
        {
            "type": "library",
            "bom-ref": "gfortran#2",
            "name": "libgfortran",
            "version": "8.5.0",
            "purl": "pkg:rpm/almalinux/libgfortran@8.5.0",
        },
        {"type": "library", "bom-ref": "cc", "name": "cc", "version": "1.2", "scope": "excluded"},
    ],
    "dependencies": [{"ref": "own", "dependsOn": ["gfortran#1", "gfortran#2", "cc", "unknown"]}],
}
PYTHON_SPDX = {
    "spdxVersion": "SPDX-2.3",
    "SPDXID": "SPDXRef-DOCUMENT",
    "documentDescribes": ["SPDXRef-native"],
    "packages": [
        {"SPDXID": "SPDXRef-native", "name": "Native"},
        {
            "SPDXID": "SPDXRef-zlib",
            "name": "zlib",
            "versionInfo": "1.3",
            "licenseDeclared": "Zlib AND LicenseRef-own",
            "checksums": [
                {"algorithm": "SHA256", "checksumValue": "A" * 64},
                {"algorithm": "SHA1", "checksumValue": "x"},
            ],
            "externalRefs": [{"referenceType": "purl", "referenceLocator": "pkg:generic/zlib@1.3"}],
        },
    ],
    "relationships": [
        {"spdxElementId": "SPDXRef-native", "relationshipType": "CONTAINS", "relatedSpdxElement": "SPDXRef-zlib"}
    ],
}


@pytest.fixture(scope="session")
def native_world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A realised world with such wheels, which tests only read."""
    world = make_world(tmp_path_factory.mktemp("sbom"))
    target = Target.host()
    library = PROGRAMS[target]
    make_wheel(
        world.wheels,
        "native",
        "1.0",
        {
            "native/__init__.py": "",
            "native/_core.abi3.so": library + b"PyInit__core\0",
            "native.libs/libgfortran-040039e1-0352e75f.so.5.0.0": library + b"gfortran",
            "native.libs/libother-8f1e9814.so": library + b"other",
            "native-1.0.dist-info/sboms/auditwheel.cdx.json": json.dumps(AUDITWHEEL),
            "native-1.0.dist-info/sboms/parts/own.spdx.json": json.dumps(PYTHON_SPDX),
            "native-1.0.dist-info/sboms/broken.json": "{",
        },
        headers=["License-Expression: mit or apache-2.0", "Summary: Native code", "Home-page: https://native.example/"],
    )
    make_wheel(
        world.wheels,
        "server",
        "1.0+local.1",
        {"server.py": ""},
        requires=[
            "midlib",
            "loop; extra == 'fast'",
            "absent; extra == 'slow'",
            "Low>=1 ; sys_platform != 'nowhere'",
            "ns-app; sys_platform == 'nowhere'",
        ],
        headers=[
            "Provides-Extra: fast",
            "Provides-Extra: slow",
            "License: The licence of the server,",
            "        in several lines",
            "Classifier: License :: OSI Approved :: BSD License",
            "Classifier: License :: OSI Approved",
        ],
    )
    make_wheel(world.wheels, "loop", "2.0", {"loop.py": ""}, headers=["License: Apache 2.0"])
    world.spec.write_text(SPEC.format(version=VERSION, target=target))
    (world.spec.parent / "helper").mkdir()
    (world.spec.parent / "helper" / "__init__.py").write_text("")
    world.realise()
    return world


@pytest.fixture(scope="session")
def sbom(native_world: World) -> Callable[..., Any]:
    """Return a function that makes the SBOM of its stack, each document once."""

    @cache
    def make(form: sboms.SbomFormat = sboms.SbomFormat.CYCLONEDX, *, all_files: bool = False) -> Any:
        with stores.open_store(native_world.root, read_only=True) as store:
            path = stores.resolve_what(store, "project").path
            return json.loads(sboms.make_sbom(store, path, sboms.SbomOptions(format=form, all_files=all_files)))

    return make
