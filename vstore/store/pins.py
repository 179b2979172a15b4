"""What a person says of a root: why it is there, and until when. Kept beside its link, so that it survives the index.

``gcroots/<name>`` has ``gcroots/.<name>.json``; the same in ``gcroots/auto/``. A root without one has no note and
does not expire; one that cannot be read counts the same, since keeping too much can be put right.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from vstore.digest import canonical_json
from vstore.fs.atomic import write_file


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """`expires_at` is aware; from that moment on the root keeps nothing, and the next collection removes it."""

    note: str = ""
    expires_at: datetime | None = None

    def expired(self, now: datetime) -> bool:
        return self.expires_at is not None and self.expires_at <= now


NO_PIN = Pin()


def pin_name(name: str) -> str:
    """What the file beside the link of this name is called."""
    return f".{name}.json"


def _file(link: Path) -> Path:
    return link.with_name(pin_name(link.name))


def read_pin(link: Path) -> Pin:
    """What is said of the root whose link this is."""
    try:
        document = json.loads(_file(link).read_bytes())
        until = document["expires_at"]
        moment = datetime.fromisoformat(until) if until is not None else None
        if moment is not None and moment.tzinfo is None:
            return Pin(note=str(document["note"]))
        return Pin(note=str(document["note"]), expires_at=moment)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return NO_PIN


def write_pin(link: Path, pin: Pin) -> None:
    """Say it; durable when it returns. To be done before the link is made."""
    if pin == NO_PIN:
        remove_pin(link)
        return
    document = {"note": pin.note, "expires_at": pin.expires_at.isoformat() if pin.expires_at else None}
    write_file(_file(link), canonical_json(document) + b"\n")


def remove_pin(link: Path) -> None:
    _file(link).unlink(missing_ok=True)
