"""Images run, with the tools that people have: podman with runc, umoci with runc, bubblewrap."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from scripts.testing.images import RUN, missing_tool, podman
from scripts.testing.world import World
from vstore.oci import ImageConfig, ImageManifest, Sha256
from vstore.oci.layout import blob_path, open_layout

pytestmark = pytest.mark.slow
SAID = "low 1.0 midlib 1.0 side app"
USER = "vstore-image-test"


def needs(*tools: str) -> pytest.MarkDecorator:
    reason = missing_tool(*tools)
    return pytest.mark.skipif(bool(reason), reason=reason)


def output(command: list[str], *, folder: str | None = None) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, cwd=folder)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout.strip()


@pytest.fixture(scope="module")
def archive(realised: World, bases: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example as an image in a file, on a base with a shell."""
    file = tmp_path_factory.mktemp("image") / "hello.tar"
    realised.run("image", "project", "-o", str(file), "--base", f"{bases}:base", "--tag", "hello:1")
    return file


@pytest.fixture(scope="module")
def bare(realised: World, bases: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The application alone as an image in a folder, on a base in Docker's format that has no shell."""
    folder = tmp_path_factory.mktemp("image") / "layout"
    realised.run("image", "project/hello", "-o", str(folder), "--base", f"{bases}:bare")
    return folder


class Storage:
    """Images of podman in a storage of their own."""

    def __init__(self, folder: Path, *before: str) -> None:
        self._folder, self._before = folder, before

    def __call__(self, *arguments: str) -> str:
        return output([*self._before, *podman(self._folder, *arguments)], folder="/")

    def load(self, file: Path, form: str) -> str:
        """Pull an image from a file, and return its ID."""
        return self("pull", "--quiet", f"{form}:{file}").splitlines()[-1]


@pytest.fixture(scope="module")
def storage() -> Iterator[Storage]:
    with short_folder() as folder:
        made = Storage(folder)
        yield made
        if os.geteuid() != 0:
            made("unshare", "rm", "-rf", str(folder / "root"))


@contextmanager
def short_folder() -> Iterator[Path]:
    """A folder whose path podman accepts: it has limits of 50 characters."""
    with TemporaryDirectory(prefix="vs-", dir="/tmp") as folder:
        yield Path(folder)


@needs("podman", "runc")
def test_podman_runs_it(storage: Storage, archive: Path) -> None:
    image = storage.load(archive, "oci-archive")
    assert storage(*RUN, image, "a", "b") == f"{SAID} a b"
    locked = ("--read-only", "--cap-drop", "all", "--security-opt", "no-new-privileges")
    assert storage(*RUN, *locked, image) == SAID
    assert storage(*RUN, *locked, "--user", "1234", image) == SAID


@needs("podman", "runc")
def test_the_user_is_not_root_and_the_scripts_are_on_path(storage: Storage, archive: Path) -> None:
    """Console scripts and the launcher of the stack need the shell of the base."""
    image = storage.load(archive, "oci-archive")
    assert storage(*RUN, "--entrypoint", "id", image, "-u") == "65532"
    assert storage(*RUN, "--entrypoint", "hello", image, "x") == f"{SAID} x"
    assert storage(*RUN, "--entrypoint", "midtool", image).startswith("midtool 1.0 /")
    assert storage(*RUN, "--entrypoint", "sh", image, "-c", "touch /no 2>/dev/null || echo refused") == "refused"


@needs("podman", "runc")
def test_it_runs_without_a_shell_on_a_base_of_docker(storage: Storage, bare: Path) -> None:
    image = storage.load(bare, "oci")
    assert storage(*RUN, "--read-only", image, "y") == f"{SAID} y"


@needs("podman", "runc")
def test_the_content_of_each_layer_has_the_recorded_digest(storage: Storage, archive: Path, tmp_path: Path) -> None:
    """As podman writes it in gzip. It has the same config, so the image is the same to it."""
    image = storage.load(archive, "oci-archive")
    storage("push", "--quiet", image, f"oci:{tmp_path / 'gzip'}:latest")
    with open_layout(tmp_path / "gzip") as layout:
        [top] = layout.index().manifests
        manifest = ImageManifest.decode(layout.document(top))
        config = ImageConfig.decode(layout.document(manifest.config))
    blobs = (tmp_path / "gzip" / blob_path(layer.digest) for layer in manifest.layers)
    assert [Sha256.of(gzip.decompress(blob.read_bytes())) for blob in blobs] == list(config.diff_ids)
    assert manifest.config.digest.hexadecimal == image


@needs("podman", "runc")
@pytest.mark.root
def test_an_ordinary_user_runs_it(archive: Path) -> None:
    if shutil.which("useradd") is None:
        pytest.skip("useradd is not installed")
    with short_folder() as home:
        subprocess.run(["useradd", "--home-dir", str(home), USER], check=True)
        try:
            shutil.copy(archive, home / "hello.tar")
            (home / "hello.tar").chmod(0o644)
            (home / "runtime").mkdir(mode=0o700)
            for path in (home, home / "runtime"):
                shutil.chown(path, USER)
            variables = (f"HOME={home}", f"XDG_RUNTIME_DIR={home}/runtime")
            rootless = Storage(home, "setpriv", "--reuid", USER, "--regid", USER, "--init-groups", "env", *variables)
            image = rootless.load(home / "hello.tar", "oci-archive")
            assert rootless(*RUN, image, "z") == f"{SAID} z"
            assert rootless(*RUN, "--read-only", "--cap-drop", "all", "--user", "1234", image) == SAID
            rootless("unshare", "rm", "-rf", str(home / "root"))
        finally:
            for file in home.glob("*/**/pause.pid"):  # the process that holds the namespace of the user
                os.kill(int(file.read_text()), signal.SIGTERM)
                wait_for_end(int(file.read_text()))
            subprocess.run(["userdel", USER], check=True)


def wait_for_end(process: int) -> None:
    """Wait until a process is gone, at most ten seconds."""
    for _ in range(100):
        if not Path(f"/proc/{process}").exists():
            return
        time.sleep(0.1)


@pytest.fixture(scope="module")
def bundle(storage: Storage, bare: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The image unpacked by umoci, whose older releases read no layers in zstd: podman writes them in gzip."""
    if reason := missing_tool("umoci", "podman"):
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("umoci")
    storage("push", "--quiet", storage.load(bare, "oci"), f"oci:{folder / 'gzip'}:latest")
    rootless = () if os.geteuid() == 0 else ("--rootless",)
    output(["umoci", "unpack", *rootless, "--image", f"{folder / 'gzip'}:latest", str(folder / "bundle")])
    return folder / "bundle"


@needs("umoci", "runc")
@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="runc makes cgroups as root")
def test_runc_runs_what_umoci_unpacked(bundle: Path, tmp_path: Path) -> None:
    """Without limits and cgroups, which an ordinary machine of CI may not set."""
    config = json.loads((bundle / "config.json").read_text())
    assert config["process"]["user"]["uid"] == 65532
    config["process"] |= {"terminal": False, "rlimits": []}
    config["root"]["readonly"] = True
    config["linux"].pop("resources", None)
    config["linux"].pop("cgroupsPath", None)
    (bundle / "config.json").write_text(json.dumps(config))
    command = ["runc", "--root", str(tmp_path / "runc"), "run", "--bundle", str(bundle), f"vstore-{os.getpid()}"]
    assert output(command) == SAID


@needs("umoci", "bwrap")
def test_bubblewrap_runs_what_umoci_unpacked(bundle: Path) -> None:
    process = json.loads((bundle / "config.json").read_text())["process"]
    sandbox = [
        "bwrap",
        "--ro-bind",
        str(bundle / "rootfs"),
        "/",
        "--proc",
        "/proc",
        "--unshare-all",
        "--uid",
        "65532",
        "--gid",
        "65532",
    ]
    assert output([*sandbox, "--clearenv", *process["args"], "b"]) == f"{SAID} b"


@needs("skopeo")
def test_skopeo_reads_and_copies_it(archive: Path, bare: Path, tmp_path: Path) -> None:
    for place in (f"oci-archive:{archive}", f"oci:{bare}:latest"):
        raw = json.loads(output(["skopeo", "inspect", "--raw", place]))
        assert raw["mediaType"] == "application/vnd.oci.image.manifest.v1+json"
        assert output(["skopeo", "inspect", "--config", place])
        folder = tmp_path / place.partition(":")[0]
        output(["skopeo", "copy", "--quiet", place, f"dir:{folder}"])
        assert json.loads((folder / "manifest.json").read_text()) == raw
