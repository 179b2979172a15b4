"""SBOMs: the parts of an object and of all that it refers to, as CycloneDX or SPDX documents.

Example::

    from pathlib import Path
    from vstore.api import sboms, stores

    with stores.open_store() as store:
        stack = stores.resolve_what(store, "project").path
        sboms.write_sbom(store, stack, Path("project.cdx.json"))
        spdx = sboms.make_sbom(store, stack, sboms.SbomOptions(format=sboms.SbomFormat.SPDX))
"""

from __future__ import annotations

from pathlib import Path

from vstore.publish import OutputPlan
from vstore.reporter import Reporter
from vstore.sbom.document import make_sbom, sbom_file_name, write_sbom
from vstore.sbom.model import SbomFormat, SbomOptions
from vstore.store import Store

__all__ = ["SbomFormat", "SbomOptions", "make_sbom", "write_sbom", "write_sboms"]


def write_sboms(
    store: Store, plan: OutputPlan, folder: Path, options: SbomOptions, *, reporter: Reporter | None = None
) -> list[Path]:
    """Write an SBOM beside each archive of an output, and return the files.

    A file has the name of its archive, with ``.cdx.json`` or ``.spdx.json`` in place of the suffix. Raises the errors
    of `write_sbom`.
    """
    files = {
        folder / sbom_file_name(item.name.rpartition(".tar.")[0], options.format): item.path
        for item in plan.items
        if item.path
    }
    for file, path in files.items():
        write_sbom(store, path, file, options, reporter=reporter)
    return list(files)
