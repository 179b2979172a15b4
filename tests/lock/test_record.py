"""venvstacks' hashes, against a lock of its own sample project (`framework-scipy`'s, shortened to one wheel each)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from vstore.lock.model import LockedPackage
from vstore.lock.record import other_inputs_hash, requirements_hash, version_inputs_hash
from vstore.spec import load

SPEC = """\
[[runtimes]]
name = "cpython-3.11"
python_implementation = "cpython@3.11.11"
requirements = []
[[frameworks]]
name = "scipy"
versioned = true
runtime = "cpython-3.11"
requirements = ["scipy"]
"""


def test_inputs_hash_as_in_venvstacks_committed_lock(tmp_path: Path) -> None:
    (tmp_path / "venvstacks.toml").write_text(SPEC)
    spec = load(tmp_path / "venvstacks.toml")
    layer = spec.layer("framework-scipy")
    other = "191fdc737acb1d42f5e740e35c43d98694077e79d066c10fa2fbe12620d60b88"
    assert other_inputs_hash(layer, "3.11") == f"sha256:{other}"
    version = "f1546ddc7223a15c3d815d30b11fccc3759ed61c6c44a1c294ebd16370d016d2"
    assert version_inputs_hash(spec, layer) == f"sha256:{version}"


def test_a_shared_package_hashes_without_its_mark() -> None:
    plain = LockedPackage(name="numpy", version="2.3.2")
    shared = replace(plain, marker="sys_platform == 'from_lower_layer'")
    assert requirements_hash([shared]) == requirements_hash([plain])
    conditional = replace(plain, marker="(os_name == 'nt') and sys_platform == 'from_lower_layer'")
    assert requirements_hash([conditional]) == requirements_hash([replace(plain, marker="os_name == 'nt'")])
