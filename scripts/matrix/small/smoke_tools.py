"""Tools that run scripts, and tools that copy a package's files."""

import os
import runpy
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import flask
import jinja2

os.chdir(tempfile.mkdtemp())
script = os.path.join(os.environ["ENV_BIN"], "flask")
for runner in ([], ["-m", "cProfile", "-o", "profile"], ["-m", "coverage", "run", "--source", "."], ["-m", "trace", "-l"]):
    done = subprocess.run([sys.executable, *runner, script, "--version"], capture_output=True, text=True)
    print(runner[1:2], done.returncode, "Flask" in done.stdout, done.stderr)
Path("mine.py").write_text("import flask, numpy\n\ndef half(): return 1\n\nprint(flask.__name__)\n")
for command in (["run", "--source", ".", "mine.py"], ["report"]):
    print(subprocess.run([sys.executable, "-m", "coverage", *command], capture_output=True, text=True).stdout)

package = Path(flask.__file__).parent
with zipfile.ZipFile("files.zip", "w") as archive:
    for place in sorted([package, *package.rglob("*")]):
        if "__pycache__" not in place.parts:
            archive.write(place, place.relative_to(package.parent))
print(zipfile.ZipFile("files.zip").testzip(), sorted(zipfile.ZipFile("files.zip").namelist()))
for kind in ("zip", "gztar"):
    made = shutil.make_archive(f"made-{kind}", kind, package.parent, package.name)
    shutil.unpack_archive(made, f"unpacked-{kind}")
    print(sorted(str(one) for one in Path(f"unpacked-{kind}").rglob("*.py")))
sys.argv = [script, "--help"]
try:
    runpy.run_path(script, run_name="__main__")
except SystemExit as end:
    print(end.code)
loader = jinja2.Environment(loader=jinja2.PackageLoader("flask", "sansio"), bytecode_cache=jinja2.FileSystemBytecodeCache("."))
print(len(loader.list_templates()), loader.get_template("README.md").render()[:60])
