"""The component of an object: an interpreter, a layer with its distributions and modules, or a stack."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from vstore.build.layer_metadata import Distribution, LayerMetadata
from vstore.objects import Kind
from vstore.reporter import Reporter
from vstore.sbom.bundled import Bundled, merge_embedded, place_libraries
from vstore.sbom.core_metadata import CoreMetadata
from vstore.sbom.embedded import EmbeddedSbom, read_embedded
from vstore.sbom.files import FileOwners, files_of, hash_files, is_shared_library
from vstore.sbom.model import Component, ComponentType, Download, HashedFile
from vstore.sbom.objects import StoredObject
from vstore.sbom.texts import interpreter_cpe, interpreter_package_url, python_package_url, sha256_hash
from vstore.values import replace

_TYPES = {
    Kind.STACK: ComponentType.APPLICATION,
    Kind.APPLICATION: ComponentType.APPLICATION,
    Kind.FRAMEWORK: ComponentType.FRAMEWORK,
    Kind.RUNTIME: ComponentType.PLATFORM,
    Kind.INTERPRETER: ComponentType.PLATFORM,
    Kind.SOURCE: ComponentType.LIBRARY,
}


class DistributionFacts(NamedTuple):
    """The metadata of an installed distribution, and the keys of the distributions that it needs."""

    metadata: CoreMetadata
    needs: tuple[str, ...]


class ComponentMaker:
    """Makes the components of objects. `facts` are by the key of the distribution.

    Without `all_files` only shared libraries are among the files; those of wheels have the digests of their RECORD.
    """

    def __init__(self, facts: Mapping[str, DistributionFacts], *, all_files: bool, reporter: Reporter) -> None:
        self._facts = facts
        self._all_files = all_files
        self._reporter = reporter

    def component(self, stored: StoredObject) -> Component:
        """Return the component of an object with its parts and files. Raises StoreError if the object is damaged."""
        base = Component(
            key=stored.key,
            type=_TYPES[stored.info.kind],
            name=stored.info.path.name,
            properties={"kind": str(stored.info.kind), "store-path": stored.key, "digest": str(stored.info.digest)},
            depends_on=tuple(map(str, stored.references)),
        )
        paths = files_of(stored.manifest, all_files=self._all_files)
        if stored.metadata is not None:
            return self._layer(stored, stored.metadata, base, paths)
        base = replace(base, files=tuple(hash_files(stored.folder, paths)))
        return _interpreter(stored, base) if stored.info.kind == Kind.INTERPRETER else base

    def _layer(self, stored: StoredObject, metadata: LayerMetadata, base: Component, paths: Sequence[str]) -> Component:
        owners = FileOwners(stored.folder, metadata)
        owner_by_path = {path: owners.owner(path) for path in paths}
        names = {one.name for one in metadata.distributions}.intersection(owner_by_path.values())
        recorded = {} if self._all_files else owners.recorded(names)
        files: dict[str | None, list[HashedFile]] = {}
        for file in hash_files(stored.folder, paths, recorded):
            files.setdefault(owner_by_path[file.path], []).append(file)
        distributions = [self._distribution(stored, one, files.get(one.name, ())) for one in metadata.distributions]
        modules = [_module(stored, metadata, path, files.get(path, ())) for path in metadata.own_modules]
        return replace(
            base,
            properties={**base.properties, "target": str(metadata.target)},
            parts=(*distributions, *modules),
            files=tuple(files.get(None, ())),
            depends_on=(*base.depends_on, *(one.key for one in distributions)),
        )

    def _distribution(self, stored: StoredObject, one: Distribution, files: Sequence[HashedFile]) -> Component:
        assert stored.metadata is not None
        key, origin = stored.distribution_key(one), stored.origin(one.wheel)
        core, needs = self._facts[key]
        bundled = self._bundled(stored, one, key)
        libraries = [file for file in files if is_shared_library(file.path)]
        placed = place_libraries(bundled.parts, libraries, stored.metadata.layout.site_packages)
        others = [file for file in files if not is_shared_library(file.path)]
        properties = {"wheel": origin.filename} if origin.filename else {}
        if stored.recipe is not None:
            properties["wheel-source"] = "index" if origin.url else "local"
        return Component(
            key=key,
            type=ComponentType.LIBRARY,
            name=one.name,
            version=one.version,
            description=core.summary,
            purl=python_package_url(one.name, one.version),
            hashes=sha256_hash(one.wheel),
            licences=core.licences,
            download=Download(origin.url, sha256_hash(one.wheel).get("SHA-256")) if origin.url else None,
            website=core.website,
            properties=properties,
            parts=placed.parts,
            files=tuple(sorted((*placed.rest, *others))),
            depends_on=tuple(dict.fromkeys((*needs, *bundled.depends_on))),
        )

    def _bundled(self, stored: StoredObject, one: Distribution, key: str) -> Bundled:
        sboms: list[EmbeddedSbom] = []
        for found in read_embedded(stored.folder / one.dist_info):
            if isinstance(found, EmbeddedSbom):
                sboms.append(found)
            else:
                self._reporter.warn(f"the SBOM {found.name} in {one.name} {one.version} is left out: {found.reason}")
        return merge_embedded(sboms, key, one.name)


def _interpreter(stored: StoredObject, base: Component) -> Component:
    """Return the component of an interpreter, whose name is that of its implementation and its version."""
    implementation, _, version = base.name.partition("-")
    sha256, source = stored.stated("sha256"), stored.stated("source")
    url = stored.origin(sha256).url
    return replace(
        base,
        name=implementation,
        version=version,
        purl=interpreter_package_url(implementation, version),
        cpe=interpreter_cpe(version),
        hashes=sha256_hash(sha256),
        download=Download(url, sha256_hash(sha256).get("SHA-256")) if url else None,
        properties={**base.properties, **({"source": source} if source in ("adopted", "managed") else {})},
    )


def _module(stored: StoredObject, metadata: LayerMetadata, path: str, files: Sequence[HashedFile]) -> Component:
    name = posixpath.basename(path.rstrip("/")).removesuffix(".py")
    is_launch = name == metadata.launch_module
    return Component(
        key=f"{stored.key}#{path}",
        type=ComponentType.APPLICATION if is_launch else ComponentType.LIBRARY,
        name=name,
        files=tuple(files),
        properties={"kind": "launch-module" if is_launch else "support-module"},
    )
