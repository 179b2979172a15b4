"""`vstore develop`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vstore.cli.command import command
from vstore.cli.options import request_options, spec_argument
from vstore.cli.paths import FOLDER
from vstore.cli.settings import Settings
from vstore.plural import count

if TYPE_CHECKING:
    from vstore.api.environments import DevelopedEnvironment
    from vstore.api.realising import Request
    from vstore.cli.documents.environments import DevelopDocument


@command("develop")
@spec_argument
@request_options()
@click.option("--layer", metavar="NAME", help="The layer to work on (default: the only application).")
@click.option("--path", "place", type=FOLDER, help="The environment (default: `.venv` beside the spec).")
def develop_command(
    settings: Settings, spec: Path, make_request: Callable[..., Request], layer: str | None, place: Path | None
) -> None:
    """The environment is an ordinary virtual environment on the interpreter of the store. It shows the packages of the
    layer, and the modules of the working tree in place of those of the layer. pip and uv install into it, and never
    change the store.

    Run it again after the spec or its lock has changed. What you installed stays. No profile is changed.
    """
    from vstore.api.environments import develop

    request = make_request(spec=spec)
    with settings.open_store(create=True) as store:
        made = develop(store, request, layer=layer, place=place, reporter=settings.reporter)
    document: DevelopDocument = {
        "environment": str(made.place),
        "layer": made.layer,
        "path": str(made.path) if made.path else None,
        "created": made.created and not request.dry_run,
        "copied": list(made.changes.copied) if made.changes else [],
        "removed": list(made.changes.removed) if made.changes else [],
        "hidden": list(made.changes.hidden) if made.changes else [],
        "modules": [str(folder) for folder in made.modules],
        "dry_run": request.dry_run,
    }
    settings.emit(document, lambda: _text(made, document))


def _text(made: DevelopedEnvironment, document: DevelopDocument) -> str:
    from vstore.api._command_line import quoted

    lines = []
    if document["hidden"]:
        lines.append(f"your own versions hide those of the layer: {', '.join(document['hidden'])}")
    if document["dry_run"]:
        lines.append(f"dry run: {made.place} would show {made.path or made.layer}")
    else:
        added, removed = len(document["copied"]), len(document["removed"])
        changes = f"{count(added, 'package')} added, {removed} removed" if added or removed else "no package changed"
        state = "shows" if made.created else "is in step with"
        lines.append(f"{made.place} {state} {made.path} ({changes})")
    if made.created and not document["dry_run"]:
        if not (made.place / "bin/pip").exists():
            lines.append("the interpreter has no pip, so `pip` is that of the system: use `uv pip install`")
        lines.append(f"next: . {quoted(made.place / 'bin' / 'activate')}")
    return "\n".join(lines)
