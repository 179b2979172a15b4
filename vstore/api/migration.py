"""Migration: proposing a spec for a project of another tool, and writing it.

Example::

    from pathlib import Path
    from vstore.api import migration

    Path("requirements.txt").write_text("numpy==2.1.0\\nflask==3.1.0\\n")
    proposal = migration.propose(Path("requirements.txt"), Path("."), offline=True)
    for layer in proposal.layers:
        print(layer.kind, layer.name, layer.requirements)
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from vstore.api.specs import write_template
from vstore.migration import Choice, LeftOut, Proposal, ProposedLayer, existing_spec, read_source_project, survey
from vstore.migration import propose as propose_for
from vstore.reporter import NullReporter, Reporter
from vstore.target import Target
from vstore.uv import Uv

__all__ = ["Choice", "LeftOut", "Proposal", "ProposedLayer", "existing_spec", "propose", "write"]


def propose(
    source: Path,
    folder: Path,
    choice: Choice | None = None,
    *,
    offline: bool = False,
    environment: Mapping[str, str] | None = None,
    reporter: Reporter | None = None,
) -> Proposal:
    """Propose a spec in `folder` for a project of another tool, for this machine's platform. Nothing is written.

    `source` is a file of the project, a folder with one in it, or a virtual environment. If it does not say for which
    Pythons its packages have wheels, the package index is asked, unless `offline`. `environment` has uv's settings, the
    process's own if None. Raises UsageError if the source has no known format or cannot be read.
    """
    project = read_source_project(source, choice or Choice())
    if not offline:
        with tempfile.TemporaryDirectory(prefix="vstore-uv-cache-") as cache:
            variables = os.environ if environment is None else environment
            uv = Uv(cache_dir=Path(cache), environment=dict(variables)).with_access(project.settings, folder)
            project = survey(project, Target.host(), uv, reporter or NullReporter())
    return propose_for(project, source, folder, Target.host())


def write(proposal: Proposal, folder: Path, *, store: Path) -> Path:
    """Write a proposed spec and the new files beside it, and return the path of the spec.

    Files beside it that exist are kept. Raises UsageError if the spec exists, or the folder is in the store.
    """
    spec = folder / "spec.toml"
    write_template(spec, proposal.text, proposal.files, store=store)
    return spec
