"""Images for tests: the tools that run them, and a base of files of this machine."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

from vstore.build.native.elf import needed_libraries
from vstore.oci import ContainerDefaults, Descriptor, ImageConfig, ImageIndex, ImageManifest, ImagePlatform, Sha256
from vstore.oci import media_types as types
from vstore.oci.layout import LAYOUT, TAG, blob_path
from vstore.publish.image.model import image_platform
from vstore.target import Target

SHELL = ("/bin/sh", "/usr/bin/readlink", "/usr/bin/env", "/usr/bin/id")
HOST = image_platform(Target.host()) or ImagePlatform(os=sys.platform, architecture="none")  # no images there


def missing_tool(*names: str) -> str:
    """Return why tests with these tools are skipped, empty if all are here."""
    missing = [name for name in names if shutil.which(name) is None]
    return f"not installed: {', '.join(missing)}" if missing else ""


def program_interpreter(file: Path) -> Path:
    """Return the dynamic linker of a program, as ldd(1) shows it."""
    done = subprocess.run(["ldd", file], capture_output=True, text=True, check=True)
    return Path(next(line.split()[0] for line in done.stdout.splitlines() if "/ld-" in line))


def machine_layer(python: Path, programs: Iterable[str] = SHELL) -> bytes:
    """Return a tar with what a Python of this machine needs outside of its own folder, and these programs."""
    binaries = [python / "bin" / "python3", *python.glob("lib/python3*/lib-dynload/*.so"), *map(Path, programs)]
    found = (Path(os.path.normpath(path)) for one in binaries for path in needed_libraries(one).values())
    files = {path for path in found if not path.is_relative_to(python)}
    files |= {program_interpreter(binaries[0].resolve()), *map(Path, programs)}
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        folders = {parent for file in files for parent in file.parents if parent != Path("/")}
        for folder in sorted({*folders, *map(Path, ("/tmp", "/etc", "/proc", "/dev", "/sys"))}):
            entry = tarfile.TarInfo(str(folder)[1:])
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder == Path("/tmp") else 0o755
            tar.addfile(entry)
        for file in sorted(files):
            entry = tarfile.TarInfo(str(file)[1:])
            entry.size, entry.mode = file.stat().st_size, 0o755
            with file.open("rb") as content:
                tar.addfile(entry, content)
    return data.getvalue()


def make_image(
    folder: Path,
    layers: Iterable[bytes],
    *,
    tag: str = "base",
    defaults: ContainerDefaults | None = None,
    platform: ImagePlatform = HOST,
    docker: bool = False,
) -> Sha256:
    """Write an image of tar files into an OCI layout, its layers in gzip; `docker`: in the format 2.2 of Docker.

    Return the digest of its manifest.
    """
    (folder / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)
    (folder / "oci-layout").write_bytes(LAYOUT)
    index = folder / "index.json"
    others = ImageIndex.decode(index.read_bytes()).manifests if index.exists() else ()
    tars = list(layers)
    config = ImageConfig(
        platform=platform,
        diff_ids=tuple(Sha256(sha256(tar).hexdigest()) for tar in tars),
        defaults=defaults or ContainerDefaults(environment={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}),
    ).encode()
    blobs = [gzip.compress(tar, 1, mtime=0) for tar in tars]
    layer_type = f"{types.DOCKER_LAYER}.gzip" if docker else types.GZIP_LAYER
    manifest = ImageManifest(
        config=Descriptor.of(types.DOCKER_CONFIG if docker else types.CONFIG, config),
        layers=tuple(Descriptor.of(layer_type, blob) for blob in blobs),
        media_type=types.DOCKER_MANIFEST if docker else types.MANIFEST,
    ).encode()
    for blob in (*blobs, config, manifest):
        (folder / blob_path(Sha256.of(blob))).write_bytes(blob)
    top = Descriptor.of(types.DOCKER_MANIFEST if docker else types.MANIFEST, manifest, {TAG: tag})
    index.write_bytes(ImageIndex(manifests=(*others, top)).encode())
    return top.digest


def podman(storage: Path, *arguments: str) -> list[str]:
    """Return a call of podman with storage of its own, with the limits that any user may set and no network.

    Its files are removed by `podman(storage, "unshare", "rm", …)` if an ordinary user ran it.
    """
    places = ("--root", str(storage / "root"), "--runroot", str(storage / "run"), "--tmpdir", str(storage / "libpod"))
    return ["podman", *places, "--storage-driver", "vfs", "--events-backend", "file", "--runtime", "runc", *arguments]


RUN = ("run", "--rm", "--network", "none", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")
