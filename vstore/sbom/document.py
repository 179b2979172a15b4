"""The SBOM of an object as bytes, and as a file."""

from __future__ import annotations

import json
import os
import re
import uuid
from pathlib import Path

from vstore.digest import hash_bytes
from vstore.fs.place import claim, put_bytes
from vstore.fs.reading import open_regular
from vstore.objects import StorePath
from vstore.reporter import Reporter
from vstore.sbom.cyclonedx import cyclonedx_document
from vstore.sbom.model import SbomFormat, SbomOptions
from vstore.sbom.parts import list_parts
from vstore.sbom.spdx import spdx_document
from vstore.store import Store

_START_BYTES = 4096
_START = re.compile(
    rb'\{"(?:\$schema|spdxVersion)": .{1,1000}?'
    rb'(?:"tools": \{"components": \[\{"type": "application", "name": "vstore"|"creators": \["Tool: vstore-)'
)


def make_sbom(
    store: Store, path: StorePath, options: SbomOptions | None = None, *, reporter: Reporter | None = None
) -> bytes:
    """Return the SBOM of an object and of all that it refers to, as JSON.

    It states the distributions, the interpreters, the modules, the components of the SBOMs in wheels, and files. A
    problem with the files of a distribution is a warning. Raises NotFoundError if the store does not have the object,
    and StoreError if it is damaged.
    """
    options = options or SbomOptions()
    parts = list_parts(store, path, options, reporter=reporter)
    if options.format is SbomFormat.SPDX:
        document = spdx_document(parts)
        document["documentNamespace"] = f"urn:vstore:sbom:{_identifier(document)}"
    else:
        document = cyclonedx_document(parts)
        document["serialNumber"] = f"urn:uuid:{_identifier(document)}"
    return (json.dumps(document, ensure_ascii=False) + "\n").encode()  # indented it takes ten times as long


def write_sbom(
    store: Store,
    path: StorePath,
    file: Path,
    options: SbomOptions | None = None,
    *,
    reporter: Reporter | None = None,
) -> bytes:
    """Write the SBOM of an object to a file, whole or not at all, and return its content.

    Raises the errors of `make_sbom`, and UsageError, before any work, if anything but an SBOM by vstore is there.
    """
    place = claim(file, _is_sbom, store=store.layout.root)
    data = make_sbom(store, path, options, reporter=reporter)
    put_bytes(data, place)
    return data


def _is_sbom(path: Path, _: os.stat_result) -> bool:
    """Whether a file begins as an SBOM that vstore wrote."""
    try:
        with open_regular(path, follow=False) as file:
            return _START.match(file.read(_START_BYTES)) is not None
    except OSError:
        return False


def _identifier(document: dict[str, object]) -> uuid.UUID:
    """Return a UUID that is derived from the content of a document (RFC 9562, in the form of version 5)."""
    text = json.dumps(document, ensure_ascii=False).encode()
    return uuid.UUID(bytes=hash_bytes("sbom 1", text).raw[:16], version=5)
