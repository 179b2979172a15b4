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

from vstore.sbom.document import make_sbom, write_sbom
from vstore.sbom.model import SbomFormat, SbomOptions

__all__ = ["SbomFormat", "SbomOptions", "make_sbom", "write_sbom"]
