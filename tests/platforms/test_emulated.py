"""A layer for another processor runs: made here for `linux_aarch64`, started under qemu."""

from __future__ import annotations

import io
import json
import os
import platform
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.platforms.mirror import list_mirror
from tests.platforms.test_index import Index
from vstore.build.local import find_local
from vstore.spec.model import Target

pytestmark = pytest.mark.network
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


@pytest.mark.skipif(QEMU is None, reason="qemu-aarch64-static is not installed (Debian: qemu-user-static)")
@pytest.mark.skipif(platform.machine() == "aarch64", reason="this is such a machine")
def test_numpy_runs_on_another_processor(tmp_path: Path) -> None:
    assert QEMU is not None
    root = fetch_arm64(tmp_path / "arm64")
    world = Index(tmp_path, tmp_path / "root")
    version = as_managed_build(root, tmp_path / "mirror")
    if not find_local(os.environ, version):
        pytest.skip(f"no CPython {version} of this machine to compile with")
    world.spec.parent.mkdir()
    world.spec.write_text(SPEC.format(version=version, host=Target.host()))
    (world.spec.parent / "total.py").write_text(TOTAL)
    document = world.json("realise", str(world.spec), "--platform", str(ARM))
    layer = world.layers(document)["app-sum"]
    moved = world.root.rename(tmp_path / "moved") / "store" / layer.name
    command = [QEMU, "-L", str(root), str(moved / "libexec/python3.11"), "-P", "-m", "total"]
    done = subprocess.run(command, capture_output=True, text=True, env={}, cwd="/", timeout=300)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["machine"], told["total"], told["inverse"]) == ("aarch64", 10, [[0.5, 0.0], [0.0, 0.5]])
    assert told["prefix"] == str(moved)
    assert told["base"].endswith(f"-cpython-{version}")
    assert told["numpy"].startswith(str(moved)) and Path(told["cached"]).is_file()
