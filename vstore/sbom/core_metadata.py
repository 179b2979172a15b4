"""The METADATA of installed distributions (core metadata), as far as an SBOM states it. The content is untrusted."""

from __future__ import annotations

from pathlib import Path

from packaging.metadata import RawMetadata, parse_email
from packaging.requirements import InvalidRequirement, Requirement

from vstore.errors import BuildError
from vstore.fs.reading import read_regular
from vstore.sbom.licences import declared_licences
from vstore.sbom.model import Licence
from vstore.sbom.texts import clean, web_url
from vstore.values import frozen

_MAX_BYTES = 64 << 20
_WEBSITE_LABELS = ("homepage", "home-page", "home", "website", "repository", "source", "source code", "github")


@frozen
class CoreMetadata:
    """The statements of a distribution about itself. Requirements that are not valid are left out."""

    summary: str | None = None
    licences: tuple[Licence, ...] = ()
    website: str | None = None
    requirements: tuple[Requirement, ...] = ()
    extras: tuple[str, ...] = ()


def read_core_metadata(dist_info: Path) -> CoreMetadata:
    """Read the METADATA in a dist-info folder. Raises BuildError if it cannot be read."""
    try:
        data = read_regular(dist_info / "METADATA", limit=_MAX_BYTES)
    except OSError as error:
        raise BuildError(f"cannot read {dist_info.name}/METADATA: {error.strerror}") from error
    head = min((place for end in (b"\n\n", b"\r\n\r\n") if (place := data.find(end)) >= 0), default=len(data))
    raw, _ = parse_email(data[: head + 1])
    return CoreMetadata(
        summary=clean(raw.get("summary")),
        licences=declared_licences(
            clean(raw.get("license_expression")),
            clean(raw.get("license"), limit=None),
            [text for one in raw.get("classifiers", ()) if (text := clean(one))],
        ),
        website=_website(raw),
        requirements=tuple(_requirements(raw)),
        extras=tuple(raw.get("provides_extra", ())),
    )


def _website(raw: RawMetadata) -> str | None:
    labels = {label.strip().lower(): url for label, url in raw.get("project_urls", {}).items()}
    candidates = [raw.get("home_page"), *(labels.get(label) for label in _WEBSITE_LABELS)]
    return next((url for one in candidates if (url := web_url(one))), None)


def _requirements(raw: RawMetadata) -> list[Requirement]:
    found = []
    for text in raw.get("requires_dist", ()):
        try:
            found.append(Requirement(text))
        except InvalidRequirement:
            continue
    return found
