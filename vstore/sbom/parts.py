"""The parts list of an object and of all that it refers to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from vstore.build.layer_metadata import Distribution
from vstore.errors import BuildError, NotFoundError
from vstore.lock.markers import marker_environment
from vstore.objects import Kind, StorePath
from vstore.reporter import NullReporter, Reporter
from vstore.sbom.components import ComponentMaker, DistributionFacts
from vstore.sbom.core_metadata import CoreMetadata, read_core_metadata
from vstore.sbom.model import PartsList, SbomOptions
from vstore.sbom.objects import StoredObject
from vstore.sbom.requirements import Installed, requirement_edges
from vstore.store import Store

_ORDER = (Kind.STACK, Kind.APPLICATION, Kind.FRAMEWORK, Kind.RUNTIME, Kind.INTERPRETER, Kind.SOURCE)


def list_parts(store: Store, path: StorePath, options: SbomOptions, *, reporter: Reporter | None = None) -> PartsList:
    """Return the parts of an object: applications first, interpreters last.

    A problem with the files of a distribution is a warning. Raises NotFoundError if the store does not have the object,
    and StoreError if it is damaged.
    """
    reporter = reporter or NullReporter()
    infos = store.objects.closure_infos([path])
    if path not in infos:
        raise NotFoundError(f"there is no object {path}", hint="`vstore list` shows the objects")
    ordered = sorted(infos.values(), key=lambda info: (_ORDER.index(info.kind), info.path.name, info.path))
    objects = {info.path: StoredObject.read(store, info) for info in ordered}
    maker = ComponentMaker(_facts(objects, reporter), all_files=options.all_files, reporter=reporter)
    components = {}
    for number, stored in enumerate(objects.values()):
        reporter.progress("sbom", "reading", number, len(objects))
        components[stored.info.path] = maker.component(stored)
    subject = components.pop(path)
    return PartsList(
        subject=subject,
        others=tuple(components.values()),
        created_at=options.created_at,
        all_files=options.all_files,
    )


def _facts(objects: Mapping[StorePath, StoredObject], reporter: Reporter) -> dict[str, DistributionFacts]:
    """Return the facts of all distributions by key."""
    cores = {
        stored.distribution_key(one): _core_metadata(stored, one, reporter)
        for stored, one in _distributions(objects.values())
    }
    installed = {}
    for stored in objects.values():
        if stored.metadata is None:
            continue
        visible = {
            one.name: low.distribution_key(one)
            for low in reversed((stored, *(objects[path] for path in stored.references if path in objects)))
            for one in (low.metadata.distributions if low.metadata else ())
        }
        environment = marker_environment(stored.metadata.target, str(stored.metadata.python))
        for one in stored.metadata.distributions:
            core = cores[stored.distribution_key(one)]
            installed[stored.distribution_key(one)] = Installed(
                requirements=core.requirements, extras=core.extras, visible=visible, environment=environment
            )
    edges = requirement_edges(installed)
    return {key: DistributionFacts(core, edges[key]) for key, core in cores.items()}


def _distributions(objects: Iterable[StoredObject]) -> Iterator[tuple[StoredObject, Distribution]]:
    for stored in objects:
        for one in stored.metadata.distributions if stored.metadata else ():
            yield stored, one


def _core_metadata(stored: StoredObject, one: Distribution, reporter: Reporter) -> CoreMetadata:
    try:
        return read_core_metadata(stored.folder / one.dist_info)
    except (BuildError, ValueError) as error:
        reporter.warn(f"{one.name} {one.version} in {stored.key}: {error}")
        return CoreMetadata()
