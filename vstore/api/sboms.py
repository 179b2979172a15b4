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

from collections.abc import Iterable
from pathlib import Path

from vstore import remote
from vstore.api.caches import cached_path
from vstore.objects import StorePath
from vstore.publish import OutputPlan
from vstore.remote import Cache
from vstore.reporter import Reporter
from vstore.sbom.document import make_sbom, place_sbom, sbom_maker, write_sbom
from vstore.sbom.model import SbomOptions
from vstore.sbom_format import Sbom, SbomFormat
from vstore.store import Store

__all__ = [
    "Sbom",
    "SbomFormat",
    "SbomOptions",
    "fetch_sbom",
    "make_sbom",
    "place_sbom",
    "plan_sboms",
    "sbom_maker",
    "write_sbom",
    "write_sboms",
]


def fetch_sbom(
    store: Store,
    cache: Cache,
    what: str,
    form: SbomFormat = SbomFormat.CYCLONEDX,
    *,
    trusted_keys: Iterable[str] = (),
) -> Sbom:
    """Fetch the SBOM that a push has attached to an object of a cache, and verify it.

    `what` is a store path or the name of a channel. `trusted_keys` are trusted beside the configured ones. Raises
    UsageError, and CacheError if there is none, if it is damaged, or if too few trusted keys have signed it.
    """
    trust = remote.trust_of(store.config, trusted_keys)
    return remote.fetch_sbom(store, cache, cached_path(store, cache, what, trust), form, trust)


def plan_sboms(plan: OutputPlan, form: SbomFormat) -> dict[str, StorePath | None]:
    """Return the names of the SBOMs beside the archives of an output, and their objects, None before one is built.

    A file has the name of its archive, with ``.cdx.json`` or ``.spdx.json`` in place of the suffix.
    """
    return {item.name.rpartition(".tar.")[0] + form.suffix: item.path for item in plan.items}


def write_sboms(
    store: Store, plan: OutputPlan, folder: Path, options: SbomOptions, *, reporter: Reporter | None = None
) -> dict[str, int]:
    """Write an SBOM beside each archive of an output that is written; return their sizes in bytes by file name.

    Raises the errors of `write_sbom`.
    """
    return {
        name: len(write_sbom(store, path, folder / name, options, reporter=reporter))
        for name, path in plan_sboms(plan, options.format).items()
        if path
    }
