"""Install the pip that an interpreter contains into an environment, without running it."""

from __future__ import annotations

import zipfile
from pathlib import Path

from vstore.build.layout import CODE, LayerLayout
from vstore.build.record_file import encode_record_file, read_record_file, record_entry
from vstore.build.scripts.entry_points import parse_entry_points
from vstore.build.scripts.posix import ShellLaunchers
from vstore.environments.distributions import read_installed
from vstore.environments.launchers import PROGRAM
from vstore.fs.atomic import write_file


def install_bundled_pip(environment: Path, layer: Path, layout: LayerLayout) -> None:
    """Install the pip of the interpreter, as ``python -m venv`` does, unless the layer has one or there is none."""
    wheels = sorted((layer / "libexec" / layout.stdlib / "ensurepip/_bundled").glob("pip-*.whl"))
    if not wheels or any(one.name == "pip" for one in read_installed(layer, layout)):
        return
    with zipfile.ZipFile(wheels[-1]) as wheel:
        wheel.extractall(environment / layout.site_packages)
    folder = next(one.folder for one in read_installed(environment, layout) if one.name == "pip")
    dist_info = f"{layout.site_packages}/{folder}"
    code = parse_entry_points((environment / dist_info / "entry_points.txt").read_text("utf-8"))["pip"].code
    entries = read_record_file(environment, dist_info)
    launchers = ShellLaunchers(layout=layout, program=PROGRAM)
    for name in ("pip", "pip3", f"pip{layout.python.feature}"):
        for path, data, mode in ((f"{CODE}/{name}", code, 0o644), (*launchers.script(name, code), 0o755)):
            write_file(environment / path, data, mode=mode, durable=False)
            entries[path] = record_entry(path, data)
    write_file(environment / dist_info / "RECORD", encode_record_file(entries.values(), dist_info), durable=False)
