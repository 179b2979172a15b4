"""What a person says of a root: why it is there, and until when. Kept beside its link, so that it survives the index.

``gcroots/<name>`` has ``gcroots/.<name>.json``; the same in ``gcroots/auto/``. A root without one has no note and
does not expire; one that cannot be read counts the same, since keeping too much can be put right.
"""

from __future__ import annotations

from datetime import datetime

from vstore.digest import canonical_json, parse_json
from vstore.fs.folder import Folder
from vstore.values import frozen

_MOST_BYTES = 1 << 20


@frozen
class RootNote:
    """`expires_at` is aware; from that moment on the root keeps nothing, and the next collection removes it."""

    note: str = ""
    expires_at: datetime | None = None

    def expired(self, now: datetime) -> bool:
        return self.expires_at is not None and self.expires_at <= now


NO_PIN = RootNote()


def pin_name(name: str) -> str:
    """What the file beside the link of this name is called."""
    return f".{name}.json"


def read_pin(folder: Folder, name: str) -> RootNote:
    """What is said of the root whose link in this folder is called so."""
    try:
        document = parse_json(folder.read(pin_name(name), limit=_MOST_BYTES))
        note, until = document["note"], document["expires_at"]
        if not isinstance(note, str):
            return NO_PIN
        moment = datetime.fromisoformat(until) if until is not None else None
        return RootNote(note=note, expires_at=moment if moment is not None and moment.tzinfo else None)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return NO_PIN


def write_pin(folder: Folder, name: str, pin: RootNote) -> None:
    """Say it; durable when it returns. To be done before the link is made."""
    if pin == NO_PIN:
        remove_pin(folder, name)
        return
    document = {"note": pin.note, "expires_at": pin.expires_at.isoformat() if pin.expires_at else None}
    folder.write(pin_name(name), canonical_json(document) + b"\n")


def remove_pin(folder: Folder, name: str) -> None:
    folder.unlink(pin_name(name))
