"""Notes on roots: why a root exists, and until when. They are files, so they survive a lost index.

``gcroots/<name>`` has the note ``gcroots/.<name>.json``; so have entries of ``gcroots/auto/``. A root whose note is
missing or unreadable does not expire: keeping too much can be corrected later.
"""

from __future__ import annotations

from datetime import datetime

from vstore.digest import canonical_json, parse_json
from vstore.fs.folder import Folder
from vstore.values import frozen

_MAX_BYTES = 1 << 20


@frozen(kw_only=False)
class RootNote:
    """Why a root exists. From `expires_at` on, an aware time, it keeps nothing and the next collection removes it."""

    text: str = ""
    expires_at: datetime | None = None

    def expired(self, now: datetime) -> bool:
        """Return whether the root keeps nothing any more."""
        return self.expires_at is not None and self.expires_at <= now


NO_NOTE = RootNote()


def note_name(name: str) -> str:
    """Return the name of the note of the root with this link name."""
    return f".{name}.json"


def read_note(folder: Folder, name: str) -> RootNote:
    """Return the note of the root with this link name; `NO_NOTE` if it is missing or damaged."""
    try:
        document = parse_json(folder.read(note_name(name), limit=_MAX_BYTES))
        text, until = document["note"], document["expires_at"]
        if not isinstance(text, str):
            return NO_NOTE
        moment = datetime.fromisoformat(until) if until is not None else None
        return RootNote(text, moment if moment is not None and moment.tzinfo else None)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return NO_NOTE


def write_note(folder: Folder, name: str, note: RootNote) -> None:
    """Write the note of a root, durably. Write it before the link is made."""
    if note == NO_NOTE:
        remove_note(folder, name)
        return
    document = {"note": note.text, "expires_at": note.expires_at.isoformat() if note.expires_at else None}
    folder.write(note_name(name), canonical_json(document) + b"\n")


def remove_note(folder: Folder, name: str) -> None:
    """Remove the note of a root if there is one."""
    folder.unlink(note_name(name))
