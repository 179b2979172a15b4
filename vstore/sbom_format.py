"""The formats of SBOMs, and an SBOM as a value."""

from __future__ import annotations

from enum import StrEnum

from vstore.objects import StorePath
from vstore.values import frozen


class SbomFormat(StrEnum):
    """The format of an SBOM: CycloneDX 1.6 or SPDX 2.3, both as JSON."""

    CYCLONEDX = "cyclonedx"
    SPDX = "spdx"

    @property
    def suffix(self) -> str:
        """The end of the names of its files, by which scanners know the format."""
        return ".spdx.json" if self is SbomFormat.SPDX else ".cdx.json"

    @property
    def media_type(self) -> str:
        """The media type, as registered with IANA."""
        return "application/spdx+json" if self is SbomFormat.SPDX else "application/vnd.cyclonedx+json"


@frozen(kw_only=False)
class Sbom:
    """The SBOM of an object and of everything that it refers to, and its format."""

    path: StorePath
    format: SbomFormat
    data: bytes
