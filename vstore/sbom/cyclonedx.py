"""CycloneDX 1.6 as JSON (ECMA-424). Parts and files are nested in the component that contains them."""

from __future__ import annotations

from collections.abc import Iterator

from vstore import __version__
from vstore.sbom.model import Component, HashedFile, Licence, PartsList
from vstore.sbom.texts import printable, rfc3339
from vstore.values import replace


def cyclonedx_document(parts: PartsList) -> dict[str, object]:
    """Return the document without its serial number. The parts of the subject are components beside it."""
    subject = replace(parts.subject, parts=(), files=())
    others = [_component(one) for one in (*parts.subject.parts, *parts.others)]
    tool = {"type": "application", "name": "vstore", "version": __version__}
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": rfc3339(parts.created_at),
            "tools": {"components": [tool]},
            "component": _component(subject),
        },
        "components": [*others, *_files(parts.subject)],
        "dependencies": [
            {"ref": one.key, **({"dependsOn": list(one.depends_on)} if one.depends_on else {})}
            for one in parts.components()
        ],
    }


def _component(one: Component) -> dict[str, object]:
    nested = [*map(_component, one.parts), *_files(one)]
    facts = {
        "type": str(one.type),
        "bom-ref": one.key,
        "name": one.name,
        "version": one.version,
        "description": one.description,
        "scope": "excluded" if one.excluded else None,
        "hashes": [{"alg": algorithm, "content": text} for algorithm, text in sorted(one.hashes.items())],
        "licenses": [_licence(licence) for licence in one.licences],
        "cpe": one.cpe,
        "purl": one.purl,
        "externalReferences": list(_references(one)),
        "components": nested,
        "properties": [{"name": f"vstore:{name}", "value": value} for name, value in sorted(one.properties.items())],
    }
    return {key: value for key, value in facts.items() if value is not None and value != []}


def _licence(licence: Licence) -> dict[str, object]:
    if licence.is_expression:
        return {"expression": licence.text, "acknowledgement": "declared"}
    return {"license": {"name": licence.text, "acknowledgement": "declared"}}


def _references(one: Component) -> Iterator[dict[str, object]]:
    if one.download:
        digest = one.download.sha256
        hashes = {"hashes": [{"alg": "SHA-256", "content": digest}]} if digest else {}
        yield {"type": "distribution", "url": one.download.url, **hashes}
    if one.website:
        yield {"type": "website", "url": one.website}


def _files(one: Component) -> Iterator[dict[str, object]]:
    """Yield the files of a component. Their names are paths in the object that begins its key."""
    top = one.key.partition("#")[0]
    return (_file(top, file) for file in one.files)


def _file(top: str, file: HashedFile) -> dict[str, object]:
    path, stated = printable(file.path), {"SHA-1": file.sha1, "SHA-256": file.sha256}
    return {
        "type": "file",
        "bom-ref": f"{top}/{path}",
        "name": path,
        "hashes": [{"alg": algorithm, "content": text} for algorithm, text in stated.items() if text],
    }
