"""A new spec: `init`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vstore.cli.command import command, options
from vstore.cli.options import offline_option
from vstore.cli.paths import FOLDER
from vstore.cli.settings import Settings
from vstore.errors import UsageError
from vstore.plural import count

if TYPE_CHECKING:
    from vstore.api.migration import Choice, Proposal
    from vstore.cli.documents.specs import InitDocument, InitFromDocument

TEMPLATE = """\
# A stack of layers. `vstore realise spec.toml` locks it, builds it and switches the profile to it.

[[runtimes]]           # a Python, and packages that all layers share
name = "python"
python_implementation = "cpython@>=3.11,<3.14"  # the lock pins the newest that is at hand
requirements = []
platforms = ["linux_x86_64"]

[[frameworks]]         # shared packages, on a runtime or other frameworks
name = "web"
runtime = "python"
requirements = ["flask"]

[[applications]]       # your module, and packages that only it needs
name = "hello"
launch_module = "hello.py"
frameworks = ["web"]
requirements = []
"""

HELLO = """\
import flask

print("hello from flask", flask.__name__)
"""


def _choice(**given: tuple[str, ...]) -> Choice:
    from vstore.api.migration import Choice

    return Choice(**given)


@command("init")
@click.argument("directory", type=FOLDER, default=".")
@click.option("--from", "source", type=FOLDER, metavar="X", help="Propose the layers for a project of another tool.")
@options(
    "choice",
    _choice,
    click.option("--extra", "extras", multiple=True, metavar="NAME", help="Take an extra of the project over."),
    click.option("--group", "groups", multiple=True, metavar="NAME", help="Take a dependency group over."),
)
@click.option("--dry-run", is_flag=True, help="Show the proposed spec, and write nothing.")
@offline_option
def init_command(
    settings: Settings, directory: Path, source: Path | None, choice: Choice, dry_run: bool, offline: bool
) -> None:
    """The spec is `spec.toml` in DIRECTORY (default: the current folder), with a module for its application, and with
    the JSON schema by which editors check and complete it.

    X is a requirements.txt, pyproject.toml, uv.lock, pylock.toml, environment.yml, a script with dependencies in a
    comment (PEP 723), the folder of a virtual environment, or a folder with such a file. All its versions are kept.
    The package index is asked for sizes and wheels where X does not list them, unless --offline is given.
    """
    from vstore.api.specs import SCHEMA_FILE, Target, write_template

    if source is not None:
        _init_from(settings, directory, source, choice, dry_run=dry_run, offline=offline)
        return
    if dry_run or choice.extras or choice.groups:
        raise UsageError("--dry-run, --extra and --group need --from", hint="run `vstore init --help`")
    spec = directory / "spec.toml"
    text = TEMPLATE.replace("linux_x86_64", str(Target.host()))
    beside = {"hello.py": HELLO}
    write_template(spec, text, beside, store=settings.location())
    document: InitDocument = {"spec": str(spec), "files": sorted([*beside, SCHEMA_FILE])}
    settings.emit(document, lambda: _wrote(document))


def _wrote(document: InitDocument) -> str:
    return f"wrote {', '.join([document['spec'], *document['files']])}; {_next(Path(document['spec']))}"


def _next(spec: Path) -> str:
    from vstore.api._command_line import quoted

    return f"next: vstore realise {quoted(spec)}"


def _init_from(
    settings: Settings, directory: Path, source: Path, choice: Choice, *, dry_run: bool, offline: bool
) -> None:
    from vstore.api.migration import existing_spec, propose, write

    if (found := existing_spec(source)) is not None:
        known: InitDocument = {"spec": str(found), "files": []}
        settings.emit(known, lambda: f"{found} is a spec already, and is used as it is; {_next(found)}")
        return
    proposal = propose(source, directory, choice, offline=offline, reporter=settings.reporter)
    spec = directory / "spec.toml" if dry_run else write(proposal, directory, store=settings.location())
    document = _document(proposal, spec, dry_run=dry_run)
    settings.emit(document, lambda: _text(proposal, document, _again(directory, source, choice, proposal)))


def _again(directory: Path, source: Path, choice: Choice, proposal: Proposal) -> str:
    """Return the command that also takes over the extras and groups that were left out; empty if there are none."""
    from vstore.api._command_line import quoted

    others = [one.option for one in proposal.left_out if one.option]
    if not others:
        return ""
    chosen = [*(f"--extra {name}" for name in choice.extras), *(f"--group {name}" for name in choice.groups)]
    place = [] if quoted(directory) == "." else [quoted(directory)]
    return " ".join(["vstore init", *place, "--from", quoted(source), *chosen, *others])


def _document(proposal: Proposal, spec: Path, *, dry_run: bool) -> InitFromDocument:
    from vstore.api.specs import SCHEMA_FILE

    return {
        "spec": str(spec),
        "files": sorted([*proposal.files, SCHEMA_FILE]),
        "source": str(proposal.source),
        "format": proposal.format,
        "python": proposal.python,
        "layers": [
            {
                "name": layer.name,
                "kind": str(layer.kind),
                "requirements": list(layer.requirements),
                "size_bytes": layer.size_bytes,
            }
            for layer in proposal.layers
        ],
        "constraints": list(proposal.constraints),
        "left_out": [{"subject": one.subject, "reason": one.reason} for one in proposal.left_out],
        "text": proposal.text,
        "dry_run": dry_run,
    }


def _text(proposal: Proposal, document: InitFromDocument, again: str) -> str:
    from vstore.api._command_line import quoted
    from vstore.cli.text import table
    from vstore.sizes import size

    rows = [
        {
            "layer": layer.name,
            "kind": str(layer.kind),
            "size": "" if layer.size_bytes is None else size(layer.size_bytes),
            "requirements": ", ".join(layer.requirements) if layer.requirements else "-",
        }
        for layer in proposal.layers
    ]
    rows[0]["requirements"] = proposal.python
    lines = [table(rows, {name: name for name in ("layer", "kind", "size", "requirements")})]
    if proposal.constraints:
        lines.append(f"{proposal.format}: {count(len(proposal.constraints), 'version')} kept as constraints")
    lines += [f"note: {one.subject}: {one.reason}" for one in proposal.left_out]
    if again:
        remove = "" if document["dry_run"] else f"rm {quoted(Path(document['spec']))} && "
        lines.append(f"to take the optional parts over: {remove}{again}")
    lines += ["", proposal.text] if document["dry_run"] else [_wrote(document)]
    return "\n".join(lines)
