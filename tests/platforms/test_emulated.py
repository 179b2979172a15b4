"""Layers for another processor run: made here for `linux_aarch64`, started under qemu.

One of them is venvstacks' PyTorch example. The package index's wheels of torch for this processor are those without
CUDA, so its framework needs no other index.
"""

from __future__ import annotations

import io
import json
import os
import platform
import re
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from scripts.testing.mirror import list_mirror
from tests.platforms.test_index import Index
from vstore.build.interpreter.local import find_local
from vstore.python_version import PythonRequirement
from vstore.target import Target

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.usefixtures("whole_pythons")]
ARM = Target.LINUX_AARCH64
QEMU = shutil.which("qemu-aarch64-static")
PACKAGES = (
    *("python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib", "libc6", "libexpat1", "zlib1g"),
    *("libgcc-s1", "libstdc++6", "libffi8"),
)
SPEC = """\
[[runtimes]]
name = "python"
python_implementation = "cpython@{version}"
requirements = []
platforms = ["{host}", "linux_aarch64"]

[[frameworks]]
name = "science"
runtime = "python"
requirements = ["numpy<2.4"]

[[applications]]
name = "sum"
launch_module = "total.py"
frameworks = ["science"]
requirements = []

"""
TORCH = Path(__file__).parents[1] / "acceptance/examples/pytorch"
TOTAL = """\
import json, platform, sys, sysconfig
import numpy
print(json.dumps({
    "machine": platform.machine(), "prefix": sys.prefix, "base": sys.base_prefix, "total": int(numpy.arange(5).sum()),
    "numpy": numpy.__file__, "cached": numpy.__cached__, "inverse": numpy.linalg.inv(2 * numpy.eye(2)).tolist(),
}))
"""


def fetch_arm64(folder: Path) -> Path:
    """Debian's arm64 packages unpacked into a folder, without a change to this machine's own package lists."""
    if shutil.which("apt-get") is None:
        pytest.skip("no apt-get here")
    for place in ("lists/partial", "cache/archives/partial", "packages"):
        (folder / place).mkdir(parents=True)
    (folder / "status").touch()
    settings = {
        "Dir::State": folder,
        "Dir::State::lists": folder / "lists",
        "Dir::State::status": folder / "status",
        "Dir::Cache": folder / "cache",
        "APT::Architecture": "arm64",
        "APT::Architectures": "arm64",
    }
    apt = ["apt-get", "-qq", *(word for name, value in settings.items() for word in ("-o", f"{name}={value}"))]
    for command in ([*apt, "update"], [*apt, "download", *PACKAGES]):
        done = subprocess.run(command, cwd=folder / "packages", capture_output=True, text=True)
        if done.returncode != 0:
            pytest.skip(f"Debian's arm64 packages cannot be had: {done.stderr.strip()[-200:]}")
    for package in sorted((folder / "packages").glob("*.deb")):
        subprocess.run(["dpkg-deb", "-x", package, folder / "root"], check=True)
    return folder / "root"


def as_managed_build(root: Path, folder: Path) -> str:
    """The arm64 CPython as a mirror would have it; returns its version."""
    text = (root / "usr/bin/python3.11").read_bytes()
    found = re.search(rb"\0(3\.11\.\d+)\0", text)
    assert found is not None
    version = found[1].decode()
    archive = folder / f"cpython-{version}-linux-aarch64-gnu-install_only.tar.gz"
    folder.mkdir()
    with tarfile.open(archive, "w:gz", compresslevel=1, dereference=True) as tar:
        tar.add(root / "usr/bin/python3.11", "python/bin/python3.11")
        tar.add(root / "usr/lib/python3.11", "python/lib/python3.11")
        header = f'#define PY_VERSION "{version}"\n'.encode()
        member = tarfile.TarInfo("python/include/python3.11/patchlevel.h")
        member.size = len(header)
        tar.addfile(member, io.BytesIO(header))
    list_mirror(folder, [ARM], folder.as_uri(), version)
    return version


def torch_layers() -> str:
    """The framework without CUDA and its application, as in the example but for the index and the other platforms."""
    text = (TORCH / "venvstacks.toml").read_text()
    tables = [table for table in text.split("[[") if "torch-cpu" in table or 'name = "cpu"' in table][:2]
    framework, application = (f"[[{table}" for table in tables)
    framework = re.sub(r"(?s)package_indexes.*?\n|platforms = .*?\n]\n", "", framework.replace("cpython3.11", "python"))
    return f'{framework}platforms = ["linux_aarch64"]\n\n{application}'


@dataclass(frozen=True)
class Machine:
    """A world with both projects realised for the other processor, in a store that was moved afterwards."""

    world: Index
    libraries: Path
    version: str
    layers: dict[str, Path]

    def start(self, layer: Path, module: str, **environment: str) -> str:
        assert QEMU is not None
        command = [QEMU, "-L", str(self.libraries), str(layer / "libexec/python3.11"), "-P", "-m", module]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd="/", timeout=600)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    if QEMU is None:
        pytest.skip("qemu-aarch64-static is not installed (Debian: qemu-user-static)")
    if platform.machine() == "aarch64":
        pytest.skip("this is such a machine")
    folder = tmp_path_factory.mktemp("emulated")
    root = fetch_arm64(folder / "arm64")
    world = Index(folder, folder / "root")
    version = as_managed_build(root, folder / "mirror")
    if not find_local(os.environ, PythonRequirement("cpython", version)):
        pytest.skip(f"no CPython {version} of this machine to compile with")
    world.spec.parent.mkdir()
    world.spec.write_text(SPEC.format(version=version, host=Target.host()) + torch_layers())
    (world.spec.parent / "total.py").write_text(TOTAL)
    shutil.copy(TORCH / "report_torch_cuda_version.py", world.spec.parent)
    document = world.json("realise", str(world.spec), "--platform", str(ARM))
    moved = Index(folder, world.root.rename(folder / "moved"))
    return Machine(moved, root, version, moved.layers(document))


def test_numpy_runs_on_another_processor(machine: Machine) -> None:
    layer = machine.layers["app-sum"]
    told = json.loads(machine.start(layer, "total"))
    assert (told["machine"], told["total"], told["inverse"]) == ("aarch64", 10, [[0.5, 0.0], [0.0, 0.5]])
    assert told["prefix"] == str(layer)
    assert told["base"].endswith(f"-cpython-{machine.version}")
    assert told["numpy"].startswith(str(layer)) and Path(told["cached"]).is_file()


def test_the_pytorch_example_runs_on_another_processor(machine: Machine) -> None:
    assert machine.start(machine.layers["app-cpu"], "report_torch_cuda_version") == "None\n"


def test_the_pytorch_example_is_published_and_exported(machine: Machine, tmp_path: Path) -> None:
    world = machine.world
    places = (str(world.spec), "--platform", str(ARM), "--include", "app-cpu", "--output-dir")
    published = world.json("publish", *places, str(tmp_path / "published"), "--tag-outputs")
    assert {one["layer_name"] for one in published["layers"]["applications"]} == {"app-cpu"}
    assert (tmp_path / f"published/app-cpu-{ARM}-1.tar.zst").is_file()
    for links in ("symlink", "copy"):
        layer = tmp_path / links / "app-cpu"
        world.json("export", *places, str(tmp_path / links), "--links", links)
        # Debian's Python looks for packages in another folder where it is not in a virtual environment
        path = str(layer / "lib/python3.11/site-packages")
        told = machine.start(layer, "report_torch_cuda_version", PYTHONPATH=path if links == "copy" else "")
        assert told == "None\n"
