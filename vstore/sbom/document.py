"""The SBOM of an object as bytes, and as a file."""

from __future__ import annotations

import json
import os
import re
import uuid
from collections.abc import Callable
from pathlib import Path

from vstore.digest import hash_bytes
from vstore.fs.place import claim, put_bytes
from vstore.fs.reading import read_start
from vstore.objects import StorePath
from vstore.reporter import Reporter
from vstore.sbom.cyclonedx import cyclonedx_document
from vstore.sbom.model import SbomOptions
from vstore.sbom.parts import list_parts
from vstore.sbom.spdx import spdx_document
from vstore.sbom_format import Sbom, SbomFormat
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
        return _identified(spdx_document(parts), "documentNamespace", "urn:vstore:sbom:")
    return _identified(cyclonedx_document(parts), "serialNumber", "urn:uuid:")


def sbom_maker(store: Store, options: SbomOptions, *, reporter: Reporter | None = None) -> Callable[[StorePath], Sbom]:
    """Return a function that makes the SBOM of an object of the store, with the errors of `make_sbom`."""

    def make(path: StorePath) -> Sbom:
        return Sbom(path, options.format, make_sbom(store, path, options, reporter=reporter))

    return make


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
    make = sbom_maker(store, options or SbomOptions(), reporter=reporter)
    return place_sbom(store, file, lambda: make(path)).data


def place_sbom(store: Store, file: Path, make: Callable[[], Sbom]) -> Sbom:
    """Write the SBOM that `make` returns to a file, whole or not at all, and return it.

    Raises UsageError, before `make` is called, if anything but an SBOM by vstore is there.
    """
    place = claim(file, _is_sbom, store=store.layout.root)
    sbom = make()
    put_bytes(sbom.data, place)
    return sbom


def _is_sbom(path: Path, _: os.stat_result) -> bool:
    """Whether a file begins as an SBOM that vstore wrote."""
    return _START.match(read_start(path, _START_BYTES)) is not None


def _identified(document: dict[str, object], key: str, start: str) -> bytes:
    """Return a document as JSON, with an identifier that follows from its content under a key at its end.

    The identifier is a UUID (RFC 9562, in the form of version 5).
    """
    text = json.dumps(document, ensure_ascii=False)  # indented it takes ten times as long
    identifier = uuid.UUID(bytes=hash_bytes("sbom 1", text.encode()).raw[:16], version=5)
    return f'{text[:-1]}, "{key}": "{start}{identifier}"}}\n'.encode()
