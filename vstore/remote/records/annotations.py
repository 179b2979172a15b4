"""The annotations of an image's layer that is an object: its path, and the records that a cache has of it."""

from __future__ import annotations

from collections.abc import Iterable

from vstore.digest import canonical_json, parse_json
from vstore.remote.records.encoding import encode
from vstore.remote.records.model import ObjectRecord, Realisation

OBJECT_PATH = "dev.vstore.path"
OBJECT_RECORD = "dev.vstore.object"  # the record of the object, JSON
REALISATION_RECORDS = "dev.vstore.realisations"  # a JSON list of the records of its recipes


def annotations_of(record: ObjectRecord, realisations: Iterable[Realisation]) -> dict[str, str]:
    """Return the annotations of a layer that is this object."""
    return {
        OBJECT_PATH: str(record.path),
        OBJECT_RECORD: encode(record).decode().rstrip("\n"),
        REALISATION_RECORDS: canonical_json([parse_json(encode(one)) for one in realisations]).decode(),
    }
