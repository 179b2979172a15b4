"""Records of generations on disk, from which the index can be rebuilt. A generation's link lacks these facts.

``profiles/.<profile>-<n>.json`` is written before the link and removed before it, so a link with neither row nor record
belongs to a forgotten generation. The record with the highest number stays, emptied, until the next generation is
made: so no number is given twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from vstore.digest import Digest, canonical_json, parse_json
from vstore.fs.reading import read_regular
from vstore.objects import StorePath
from vstore.store.layout import StoreLayout, generation_of_record
from vstore.store.model import Generation

_MAX_BYTES = 1 << 20
_EMPTY = b"{}\n"


def write_generation_record(layout: StoreLayout, generation: Generation) -> None:
    """Write the record of a generation, durably."""
    document = {
        "path": str(generation.path),
        "created_at": generation.created_at.isoformat(timespec="seconds"),
        "spec_path": generation.spec_path,
        "spec_digest": str(generation.spec_digest) if generation.spec_digest else None,
        "replaced_number": generation.replaced_number,
    }
    with layout.opened(layout.profiles) as folder:
        name = layout.generation_record(generation.profile, generation.number).name
        folder.write(name, canonical_json(document) + b"\n")


def read_generation_record(layout: StoreLayout, profile: str, number: int) -> Generation | None:
    """Return the recorded generation; None if the record is missing or invalid."""
    try:
        file = layout.generation_record(profile, number)
        document = parse_json(read_regular(file, limit=_MAX_BYTES, follow=False))
        digest, spec_path, replaced = document["spec_digest"], document["spec_path"], document["replaced_number"]
        created_at = datetime.fromisoformat(document["created_at"])
        if not isinstance(spec_path, str | None) or type(replaced) not in (int, type(None)) or not created_at.tzinfo:
            return None
        return Generation(
            profile=profile,
            number=number,
            path=StorePath.parse(document["path"]),
            created_at=created_at,
            spec_path=spec_path,
            spec_digest=Digest.parse(digest) if digest else None,
            replaced_number=replaced,
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def is_record_dropped(layout: StoreLayout, profile: str, number: int) -> bool:
    """Return whether the record is missing or empty: a process was forgetting the generation."""
    try:
        file = layout.generation_record(profile, number)
        return read_regular(file, limit=_MAX_BYTES, follow=False) == _EMPTY
    except FileNotFoundError:
        return True
    except OSError:
        return False


def drop_generation_records(layout: StoreLayout, profile: str, numbers: Iterable[int], *, last: int) -> None:
    """Remove the records of generations that are being forgotten. Empty the one with the number `last`."""
    with layout.opened(layout.profiles) as folder:
        for number in numbers:
            name = layout.generation_record(profile, number).name
            if number == last:
                folder.write(name, _EMPTY)
            else:
                folder.unlink(name)


def recorded_generations(layout: StoreLayout) -> Iterator[tuple[str, int]]:
    """Yield profile and number of each generation that has a record."""
    for place in layout.profiles.iterdir():
        if found := generation_of_record(place.name):
            yield found
