"""Commands and options that people type from habit, and the hints that answer them. They are never run: one word, one
meaning. Loaded after a mistake only.
"""

from __future__ import annotations

import click

from vstore.errors import nearest

_PACKAGES = "name the package in the spec, then run `vstore realise`"
_UPGRADE = "`vstore lock --upgrade` locks the newest versions, `vstore realise` then makes them"
_EXPORT = "`vstore export --output-dir DIR` writes plain folders"
_LIST = "`vstore list` lists objects, `vstore profiles` profiles, `vstore roots` roots"
_REMOVE = "`vstore forget PROFILE --all` removes a profile, `vstore delete WHAT` an object, `vstore gc` what is unused"
_GENERATIONS = "`vstore history PROFILE` lists the generations of a profile"
_REFERENCES = "`vstore tree WHAT` shows the references of an object, `vstore info WHAT` also what refers to it"
_INDEXES = "[tool.uv] of the spec names the package indexes"
_REQUIREMENTS = "`requirements` of a layer in the spec names its packages; `vstore init --from FILE` takes a file over"
_PYTHON = "`python_implementation` in the spec names the Python of a runtime"

COMMANDS = {
    # venvstacks
    "local-export": _EXPORT,
    # other spellings
    "realize": "the command is `vstore realise`",
    "optimize": "the command is `vstore optimise`",
    "apply": "`vstore realise` makes the layers of a spec and switches its profile",
    "deploy": "`vstore realise` makes the layers of a spec and switches its profile",
    "up": "`vstore realise` makes the layers of a spec and switches its profile",
    "ls": _LIST,
    "ps": _LIST,
    "rm": _REMOVE,
    "remove": _REMOVE,
    "uninstall": _REMOVE,
    "prune": "`vstore gc` deletes what no root reaches",
    "clean": "`vstore gc` deletes what no root reaches",
    "new": "`vstore init` writes a spec",
    "create": "`vstore init` writes a spec",
    "start": "`vstore run PROFILE APPLICATION` starts an application",
    "undo": "`vstore rollback PROFILE` returns to the generation before",
    "status": "`vstore show` shows the layers of a spec and their locks, `vstore profiles` what is current",
    "upload": "`vstore push CACHE WHAT` copies objects into a cache",
    "download": "`vstore pull CACHE WHAT` copies objects from a cache",
    "fetch": "`vstore pull CACHE WHAT` copies objects from a cache",
    "save": "`vstore pack WHAT -o FILE` writes objects into one file",
    "bundle": "`vstore pack WHAT -o FILE` writes objects into one file",
    "load": "`vstore unpack FILE` adds the objects of a bundle",
    "import": "`vstore unpack FILE` adds the objects of a bundle",
    "pin": "`vstore roots add WHAT` keeps an object here, `vstore cache pin CACHE WHAT` in a cache",
    "keygen": "`vstore key generate NAME` makes a key",
    "graph": "`vstore plan` prints the graph of a spec, `vstore tree WHAT` that of an object",
    "help": "`vstore --help` lists the commands, `vstore COMMAND --help` shows one",
    "version": "`vstore --version` shows the version",
    # uv and pip
    "install": _PACKAGES,
    "add": _PACKAGES,
    "pip": _PACKAGES,
    "sync": "`vstore realise` makes what the spec says",
    "compile": "`vstore lock` writes the lock files",
    "freeze": "`vstore lock` writes all versions into the lock files beside the spec",
    "upgrade": _UPGRADE,
    "update": _UPGRADE,
    "venv": "`vstore develop` makes a writable environment over the layers of a spec",
    "python": _PYTHON,
    # Nix
    "collect-garbage": "`vstore gc` deletes what no root reaches",
    "copy": "`vstore push CACHE WHAT` and `vstore pull CACHE WHAT` copy objects",
    "gc-roots": "`vstore roots` lists the roots",
    "generations": _GENERATIONS,
    "list-generations": _GENERATIONS,
    "delete-generations": "`vstore forget PROFILE N` removes generations",
    "switch-generation": "`vstore switch PROFILE N` switches to a generation",
    "diff-closures": "`vstore diff PROFILE` compares generations by package",
    "path-info": "`vstore info WHAT` shows everything known about an object",
    "references": _REFERENCES,
    "referrers": _REFERENCES,
    "requisites": _REFERENCES,
    "query": f"{_REFERENCES}; `vstore sql` takes any query",
    "repair": "`vstore verify --repair` makes damaged objects again",
    "optimise-store": "the command is `vstore optimise`",
    "search": "`vstore list` lists the objects of the store; packages come from the index that the spec names",
    "why": "`vstore why-depends WHAT DEPENDENCY` shows a chain of references",
}

OPTIONS = {
    # venvstacks
    "--reset-lock": "`vstore lock --reset GLOB` forgets the locks of layers first",
    "--show": "`vstore show` prints the layers, and `--dry-run` of other commands shows the plan",
    "--show-only": "`vstore show` prints the layers, and `--dry-run` of other commands shows the plan",
    "--lock": "`vstore realise` locks what is missing or stale; `vstore lock` only locks",
    "--lock-if-needed": "`vstore realise` locks what is missing or stale; `--locked` forbids it",
    "--build": "`vstore realise` builds the layers of a spec",
    "--no-build": "`vstore lock` only locks, and `--dry-run` shows the plan",
    "--publish": "`vstore publish --output-dir DIR` writes an archive for each layer",
    "--no-publish": "`vstore realise` writes no archives; `vstore publish` does",
    "--build-dir": "layers are built in the store; `--root` names its folder",
    "--clean": "each layer is built from nothing, once; `vstore realise --check` builds it again and compares",
    "--no-clean": "each layer is built from nothing, once",
    "--include-dependencies": "the option is `--dependencies`",
    "--lock-dependencies": "the option is `--dependencies`",
    "--build-dependencies": "the option is `--dependencies`",
    "--publish-dependencies": "the option is `--dependencies`",
    "--build-derived": "the option is `--dependents`",
    "--publish-derived": "the option is `--dependents`",
    # uv and pip
    "--frozen": "the option is `--locked`",
    "--upgrade": _UPGRADE,
    "-U": _UPGRADE,
    "--upgrade-package": "`vstore lock --upgrade-package P` locks the newest version of one package",
    "-P": "`vstore lock --upgrade-package P` locks the newest version of one package",
    "--refresh": _UPGRADE,
    "--find-links": "the option is `--local-wheels`",
    "-f": "`--local-wheels` names a folder with wheels",
    "--index-url": _INDEXES,
    "--extra-index-url": _INDEXES,
    "--default-index": _INDEXES,
    "-i": _INDEXES,
    "--python": _PYTHON,
    "-p": _PYTHON,
    "--python-platform": "the option is `--platform`",
    "--requirements": _REQUIREMENTS,
    "--requirement": _REQUIREMENTS,
    "-r": _REQUIREMENTS,
    "--editable": "`vstore develop` makes a writable environment, in which `pip install -e .` works",
    "-e": "`vstore develop` makes a writable environment, in which `pip install -e .` works",
    "--extra": "a requirement names extras: `name[extra]`",
    "--no-cache": "nothing is built again that the store has; `vstore realise --check` builds it and compares",
    "--cache-dir": "the caches are in the store; `--root` names its folder",
    "--directory": "give the folder as SPEC",
    "--project": "give the folder as SPEC",
    # Nix
    "--list-generations": _GENERATIONS,
    "--delete-generations": "`vstore forget PROFILE N` removes generations",
    "--delete-older-than": "the option is `--older-than`",
    "--delete-old": "`--keep 1` forgets all generations but the newest",
    "-d": "`--keep 1` forgets all generations but the newest",
    "--switch-generation": "`vstore switch PROFILE N` switches to a generation",
    "--rollback": "`vstore rollback PROFILE` returns to the generation before",
    "--print-roots": "`vstore roots` lists the roots",
    "--print-dead": "`vstore gc --dry-run` lists what would be deleted",
    "--add-root": "`vstore realise --out-link PATH`, or `vstore roots add LINK WHAT`",
    "--rebuild": "`vstore realise --check` builds every layer again and compares",
    "--repair": "`vstore verify --repair` makes damaged objects again",
    "--max-jobs": "the option is `--jobs`",
    "--substituters": "the option is `--cache`",
    "--extra-substituters": "the option is `--cache`",
    "--store": "the option is `--root`",
    "--attr": "`--include GLOB` selects layers",
    "-A": "`--include GLOB` selects layers",
    # from elsewhere
    "--force": "only dead objects are deleted, and only files of vstore are replaced; no option changes that",
    "--yes": "no command asks",
    "-y": "no command asks",
    "--debug": "the option is `-vv`",
    "--no-color": "the option is `--color never`",
    "--output": "the option is `--output-dir`, or `-o` where one file is written",
}


MISSING_OPTIONS = {
    ("publish", "--output-dir"): "`--output-dir _artifacts` is the folder that venvstacks uses by default"
}


def missing_option_hint(command: str, names: list[str]) -> str | None:
    """Return the hint for an option that a command needs; None if there is none."""
    return next((MISSING_OPTIONS[command, name] for name in names if (command, name) in MISSING_OPTIONS), None)


def command_hint(word: str, known: list[str]) -> str | None:
    """Return the hint for an unknown command; None if there is none. `known` are the commands that there are."""
    if "realise" in known and word in COMMANDS:
        return COMMANDS[word]
    same = {"list": "ls", "ls": "list", "rm": "remove", "delete": "remove", "create": "generate", "new": "generate"}
    near = same[word] if same.get(word) in known else nearest(word, known)
    return f"did you mean `{near}`?" if near else None


def option_hint(option: str, context: click.Context) -> str | None:
    """Return the hint for an unknown option of a command; None if there is none."""
    near = nearest(option, [name for one in context.command.params for name in (*one.opts, *one.secondary_opts)])
    said = OPTIONS.get(option)
    return said or (f"did you mean `{near}`?" if near else None)
