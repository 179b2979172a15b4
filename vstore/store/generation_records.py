"""What is known of a generation beside its link, kept on disk so that the index can be made anew.

``profiles/.<profile>-<n>.json`` is written before the link and goes before it: a link with neither row nor record was
forgotten. The one with the highest number stays, emptied, until the next generation is made, so that no number is ever
given twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

from vstore.digest import Digest, canonical_json, parse_json
from vstore.fs.reading import read_regular
from vstore.objects import StorePath
from vstore.store.index.generations import GenerationRow
from vstore.store.layout import Layout

_MOST_BYTES = 1 << 20
_MARK = b"{}\n"
_NAME = r"\.(?P<profile>.+)-(?P<number>[1-9][0-9]{0,8})\.json"


def record_file(layout: Layout, profile: str, number: int) -> Path:
    return layout.profiles / f".{profile}-{number}.json"


def write_record(layout: Layout, row: GenerationRow) -> None:
    """Durable when it returns."""
    document = {
        "path": str(row.path),
        "created_at": row.created_at.isoformat(timespec="seconds"),
        "spec_path": row.spec_path,
        "spec_digest": str(row.spec_digest) if row.spec_digest else None,
        "replaced": row.replaced,
    }
    with layout.opened(layout.profiles) as folder:
        folder.write(record_file(layout, row.profile, row.number).name, canonical_json(document) + b"\n")


def is_dropped(layout: Layout, profile: str, number: int) -> bool:
    """Whether the record is gone, or only the mark of its number is left: by a process that was forgetting it."""
    try:
        return read_regular(record_file(layout, profile, number), limit=_MOST_BYTES, follow=False) == _MARK
    except FileNotFoundError:
        return True
    except OSError:
        return False


def drop_records(layout: Layout, profile: str, numbers: Iterable[int], *, last: int) -> None:
    """Remove the records of generations that are about to be forgotten; of the `last` the mark of its number stays."""
    with layout.opened(layout.profiles) as folder:
        for number in numbers:
            name = record_file(layout, profile, number).name
            if number == last:
                folder.write(name, _MARK)
            else:
                folder.unlink(name)


def read_record(layout: Layout, profile: str, number: int) -> GenerationRow | None:
    """None where there is no record, or none that makes sense."""
    try:
        document = parse_json(read_regular(record_file(layout, profile, number), limit=_MOST_BYTES, follow=False))
        digest, spec_path, replaced = document["spec_digest"], document["spec_path"], document["replaced"]
        created_at = datetime.fromisoformat(document["created_at"])
        if not isinstance(spec_path, str | None) or type(replaced) not in (int, type(None)) or not created_at.tzinfo:
            return None
        return GenerationRow(
            profile=profile,
            number=number,
            path=StorePath.parse(document["path"]),
            created_at=created_at,
            spec_path=spec_path,
            spec_digest=Digest.parse(digest) if digest else None,
            replaced=replaced,
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def recorded(layout: Layout) -> Iterator[tuple[str, int]]:
    """Profile and number of every record there is."""
    for place in layout.profiles.iterdir():
        if found := belongs_to(place.name):
            yield found


def belongs_to(name: str) -> tuple[str, int] | None:
    """The generation that a file in ``profiles/`` of this name is the record of."""
    found = re.fullmatch(_NAME, name)
    return (found["profile"], int(found["number"])) if found else None
