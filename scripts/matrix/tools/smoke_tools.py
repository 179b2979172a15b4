"""GUI, notebooks, documents, builds, environments and debuggers at work; results by name in the file of the argument."""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

BIN = os.environ["ENV_BIN"]
PYTHON = os.path.join(BIN, "python")
ENVIRONMENT = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "QT_QPA_PLATFORM": "offscreen", "MPLBACKEND": "Agg",
               "VIRTUALENV_NO_PERIODIC_UPDATE": "1"}
WHERE = "import os, sys; print(os.path.realpath(os.__file__), sys.prefix != sys.base_prefix)"  # whose library, and a venv?


def run(*command, code=0):
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=ENVIRONMENT
    )
    if done.returncode != code:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}: {done.stdout[-1500:]}")
    return done.stdout


def write(files):
    for name, text in files.items():
        Path(name).write_text(text)


def project():
    write({"pyproject.toml": '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
          '[project]\nname = "mine"\nversion = "1"\n[tool.hatch.build.targets.wheel]\ninclude = ["mine.py"]\n',
          "mine.py": "def double(x: int) -> int:\n    return 2 * x\n",
          "test_mine.py": "import mine\n\ndef test_double(): assert mine.double(2) == 4\n"})


def venv():
    return [run(PYTHON, "-m", "venv", "e"), run("e/bin/python", "-c", WHERE), run("e/bin/pip", "--version").split()[0]]


def virtualenv():
    return [run(f"{BIN}/virtualenv", "-q", "e"), run("e/bin/python", "-c", WHERE)]


def tox():
    project()
    write({"tox.ini": "[testenv]\npackage = skip\ncommands = python -c '" + WHERE + "'\n"})
    return [re.findall(r"^.*(?:True|False)$|congratulations", run(f"{BIN}/tox", "-q"), re.M) for _ in range(2)]


def nox():
    write({"noxfile.py": "import nox\n\n@nox.session(venv_backend='venv')\ndef a(session):\n"
          f"    session.run('python', '-c', {WHERE!r})\n"})
    return re.findall(r"^.*(?:True|False)$|successful", run(f"{BIN}/nox"), re.M)


def build():
    project()
    run(PYTHON, "-m", "build", "--no-isolation")
    run(f"{BIN}/twine", "check", *map(str, Path("dist").iterdir()))
    return sorted(one.name for one in Path("dist").iterdir())


def poetry():
    write({"pyproject.toml": '[project]\nname = "mine"\nversion = "1"\nrequires-python = ">=3.9"\nreadme = "R"\n'
          '[tool.poetry]\npackages = [{include = "mine.py"}]\n', "mine.py": "", "R": ""})
    run(f"{BIN}/poetry", "build", "-f", "sdist")
    return [run(f"{BIN}/poetry", "version"), run(f"{BIN}/poetry", "check"), os.listdir("dist")]


def hook():
    run("git", "init", "-q")
    write({"mine.py": "x = 1\n"})
    Path(".pre-commit-config.yaml").write_text(
        "repos: [{repo: local, hooks: [{id: a, name: a, entry: python -c 'print(1)', language: system, files: py$}]}]\n")
    run("git", "add", "mine.py", ".pre-commit-config.yaml")
    return run(f"{BIN}/pre-commit", "run", "--all-files")


def sphinx():
    write({"conf.py": 'extensions = ["myst_parser", "sphinx.ext.autodoc"]\nhtml_theme = "furo"\n', "index.md": "# Hi\n"})
    run(f"{BIN}/sphinx-build", "-q", "-W", ".", "out")
    return sorted(str(one) for one in Path("out/_static").rglob("*"))


def sphinx_quickstart():
    run(f"{BIN}/sphinx-quickstart", "-q", "-p", "a", "-a", "b", "-v", "1")
    return sorted((one.name, os.access(one, os.W_OK)) for one in Path().iterdir())


def mkdocs():
    run(f"{BIN}/mkdocs", "-q", "new", ".")
    run(f"{BIN}/mkdocs", "-q", "build")
    return sorted(str(one) for one in Path("site").rglob("*"))


def notebook():
    cell = {"cell_type": "code", "metadata": {}, "source": "import pandas; pandas.DataFrame({'a': [1]}).shape",
            "outputs": [], "execution_count": None, "id": "a"}
    write({"n.ipynb": json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})})
    run(f"{BIN}/jupyter", "nbconvert", "--execute", "--to", "notebook", "--output", "out", "n.ipynb")
    run(f"{BIN}/jupyter", "nbconvert", "--to", "html", "out.ipynb")
    return json.loads(Path("out.ipynb").read_text())["cells"][0]["outputs"]


def jupyter_finds_all():
    return [run(f"{BIN}/jupyter", *what) for what in (["kernelspec", "list"], ["labextension", "list"], ["server", "extension", "list"])]


def qt():
    return run(PYTHON, "-c", "from PySide6 import QtCore, QtGui, QtWidgets; import pyqtgraph\n"
               "app = QtWidgets.QApplication([]); w = pyqtgraph.plot([1, 2]); app.processEvents()\n"
               "print(w.grab().size().width() > 0, sorted(map(str, QtGui.QImageReader.supportedImageFormats())),"
               " QtWidgets.QStyleFactory.keys())")


def matplotlib():
    return run(PYTHON, "-c", "import matplotlib.pyplot as p; p.plot([1]); p.title('$x^2$'); p.savefig('a.pdf'); print(1)")


def coverage():
    project()
    out = run(f"{BIN}/pytest", "-q", "--cov=mine", "-p", "no:cacheprovider")
    return re.findall(r"^mine.*|\d passed", out, re.M)


def coverage_of_a_script():
    return run(PYTHON, "-m", "coverage", "run", "--source", "sphinx", f"{BIN}/sphinx-build", "--version")


def profile():
    return run(PYTHON, "-m", "cProfile", "-o", "p", f"{BIN}/sphinx-build", "--version")


def debugger():
    write({"mine.py": "import click\nprint(click.__name__)\n"})
    return run(PYTHON, "-m", "debugpy", "--listen", "127.0.0.1:0", "mine.py")


def types():
    write({"mine.py": "import attrs, yaml, pandas\nx: int = attrs.fields\n"})
    return run(f"{BIN}/mypy", "--cache-dir", "c", "mine.py", code=1)


def scrapy():
    run(f"{BIN}/scrapy", "startproject", "sp")
    return sorted((str(one), os.access(one, os.W_OK)) for one in Path("sp").rglob("*"))


def locust():
    write({"locustfile.py": "from locust import User, task\n\nclass A(User):\n    @task\n    def t(self): pass\n"})
    return run(f"{BIN}/locust", "--list").partition("Available")[2]


if __name__ == "__main__":
    found = {}
    for name, work in [(name, one) for name, one in globals().items() if callable(one) and name not in ("run", "write", "project", "Path")]:
        os.chdir(tempfile.mkdtemp(prefix=f"{name}-", dir=os.environ["SMOKE_TMP"]))
        try:
            found[name] = {"ok": True, "v": repr(work())}
        except Exception as error:
            found[name] = {"ok": False, "msg": f"{type(error).__name__}: {error}"}
    Path(sys.argv[1]).write_text(json.dumps(found))
