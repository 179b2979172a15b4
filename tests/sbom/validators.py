"""The validators of others: they accept a document, or the test fails with their reasons."""

from __future__ import annotations

from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document


def assert_cyclonedx(data: bytes) -> None:
    """CycloneDX's own library accepts the document, with no key that it does not know."""
    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(data.decode())
    assert error is None, error


def assert_spdx(data: bytes, folder: Path) -> None:
    """SPDX's own tools read the document and find no fault."""
    file = folder / "document.spdx.json"
    file.write_bytes(data)
    faults = validate_full_spdx_document(parse_file(str(file)))
    assert not faults, [one.validation_message for one in faults]
