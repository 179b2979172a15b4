"""The rules of a ``.gitignore`` file, read and matched as git does (gitignore(5), git's ``dir.c`` and ``wildmatch.c``).

Matching is always case-sensitive, so that a checkout gives the same result on all systems. Its time is proportional to
the length of the pattern times that of the path, as a pattern may come from an attacker.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache

from vstore.values import frozen

Segment = re.Pattern[bytes] | None  # matches one part of a path; None matches any number of parts

_ANY_NAME = re.compile(rb".+", re.DOTALL)
_NEVER = b"(?!)"
_CLASSES = {
    b"alnum": rb"[0-9A-Za-z]",
    b"alpha": rb"[A-Za-z]",
    b"blank": rb"[ \t]",
    b"cntrl": rb"[\x00-\x1f\x7f]",
    b"digit": rb"[0-9]",
    b"graph": rb"[\x21-\x7e]",
    b"lower": rb"[a-z]",
    b"print": rb"[\x20-\x7e]",
    b"punct": rb"[!-/:-@\[-`{-~]",
    b"space": rb"[ \t\n\v\f\r]",
    b"upper": rb"[A-Z]",
    b"xdigit": rb"[0-9A-Fa-f]",
}


@frozen(kw_only=False)
class Rule:
    """One pattern. `ignores` is False after ``!``; `by_name` matches the last part of a path in any folder.

    `ways` are the alternatives of the pattern, split into the parts of a path.
    """

    ignores: bool
    folders_only: bool
    by_name: bool
    ways: tuple[tuple[Segment, ...], ...]

    def matches(self, parts: Sequence[bytes], *, is_folder: bool) -> bool:
        """Return whether the pattern matches a path, given in parts relative to the folder of the rules."""
        if self.folders_only and not is_folder:
            return False
        subject = parts[-1:] if self.by_name else parts
        return any(_fits(way, subject) for way in self.ways)


def read_rules(data: bytes) -> tuple[Rule, ...]:
    """Read the rules of a file. A line that matches nothing in git becomes a rule that matches nothing."""
    lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    wanted = [line.removesuffix(b"\r") for line in lines if line and not line.startswith(b"#")]
    return tuple(_rule(_without_trailing_spaces(line)) for line in wanted)


def verdict(rules: Sequence[Rule], parts: Sequence[bytes], *, is_folder: bool) -> bool | None:
    """Return whether the last matching rule ignores a path; None if no rule matches."""
    for rule in reversed(rules):
        if rule.matches(parts, is_folder=is_folder):
            return rule.ignores
    return None


def _without_trailing_spaces(line: bytes) -> bytes:
    """Remove trailing spaces. A space after a backslash is kept, as in git."""
    line = line.partition(b"\0")[0]
    kept = line.rstrip(b" ")
    backslashes = len(kept) - len(kept.rstrip(b"\\"))
    return line[: len(kept) + 1] if backslashes % 2 else kept


def _rule(pattern: bytes) -> Rule:
    ignores = not pattern.startswith(b"!")
    pattern = pattern if ignores else pattern[1:]
    folders_only = pattern.endswith(b"/")
    pattern = pattern[:-1] if folders_only else pattern
    by_name = b"/" not in pattern
    globs = [pattern] if by_name else list(_alternatives(pattern.removeprefix(b"/")))
    return Rule(ignores, folders_only, by_name, tuple(_segments(glob, by_name=by_name) for glob in globs))


def _alternatives(glob: bytes) -> Iterator[bytes]:
    """Return the globs that one stands for. After a literal start git treats ``foo**/`` as ``foo*/**/``."""
    found = re.match(rb"([^*?\[\\]*[^*?\[\\/])\*\*+(/|\\/|$)(.*)", glob, re.DOTALL)
    if found is None:
        yield glob
        return
    start, slash, rest = found.groups()
    yield start + b"*" if not slash else start + b"*/**/" + rest
    if not slash:
        yield start + b"*/**"
    if slash == b"/":
        yield from _alternatives(start + rest)


def _segments(glob: bytes, *, by_name: bool) -> tuple[Segment, ...]:
    """Split a glob at its slashes."""
    segments: list[Segment] = []
    chunks, at, begins = [b""], 0, True  # chunks lie between the stars of the part being read
    while at < len(glob):
        sign, begun, begins = glob[at : at + 1], begins, False
        if sign == b"*":
            stars = at
            while glob[at : at + 1] == b"*":
                at += 1
            after = re.match(rb"/|\\/|$", glob[at:])
            if at - stars > 1 and begun and after and not by_name:
                segments += (None,) if after[0] == b"/" else (_ANY_NAME, None)
                at, begins = at + len(after[0]), True
                if at == len(glob) and not after[0]:
                    return tuple(segments)
            else:
                chunks.append(b"")
            continue
        if sign == b"\\":
            at, sign = at + 1, glob[at + 1 : at + 2]
            token = re.escape(sign) if sign else _NEVER
        elif sign == b"?":
            token = b"."
        elif sign == b"[":
            token, at = _bracket(glob, at + 1)
        else:
            token = re.escape(sign)
        at += 1
        if token == b"/":
            segments.append(_compiled(tuple(chunks)))
            chunks, begins = [b""], True
        else:
            chunks[-1] += token
    return (*segments, _compiled(tuple(chunks)))


@cache
def _compiled(chunks: tuple[bytes, ...]) -> re.Pattern[bytes]:
    """The chunks in this order with anything between; each is taken where it first fits and not tried elsewhere."""
    first, *others = chunks
    middle = b"".join(b"(?>.*?%s)" % chunk for chunk in others[:-1] if chunk)
    return re.compile(first + middle + (b".*" + others[-1] if others else b""), re.DOTALL)


def _bracket(glob: bytes, at: int) -> tuple[bytes, int]:
    """The regular expression for a set of characters behind ``[``, and where its ``]`` is."""
    negated = glob[at : at + 1] in (b"!", b"^")
    at += negated
    choices, previous, first = [_NEVER], b"", True
    while glob[at : at + 1] != b"]" or first:
        first = False
        sign, follower = glob[at : at + 1], glob[at + 1 : at + 2]
        name = re.match(rb"\[:([^\]]*):\]", glob[at:])
        if sign == b"\\":
            at, previous = at + 1, follower
            choices.append(re.escape(follower))
        elif sign == b"-" and previous and follower and follower != b"]":
            at += 1
            if follower == b"\\":
                at, follower = at + 1, glob[at + 1 : at + 2]
            if follower and previous <= follower:
                choices.append(b"[%s-%s]" % (re.escape(previous), re.escape(follower)))
            previous = b""
        elif name is not None:
            at, previous = at + len(name[0]) - 1, b""
            if name[1] not in _CLASSES:
                return _NEVER, len(glob)
            choices.append(_CLASSES[name[1]])
        else:
            previous = sign
            choices.append(re.escape(sign))
        at += 1
        if at >= len(glob):
            return _NEVER, len(glob)
    anyone = b"(?:%s)" % b"|".join(choices)
    return (b"(?!%s)." % anyone if negated else anyone), at


def _fits(way: Sequence[Segment], parts: Sequence[bytes]) -> bool:
    """Whether the segments match the parts, keeping track of all places in the pattern that may have been reached."""
    reached = set(_onwards(way, [0]))
    for part in parts:
        following = [
            place if way[place] is None else place + 1
            for place in reached
            if place < len(way) and ((segment := way[place]) is None or segment.fullmatch(part))
        ]
        reached = set(_onwards(way, following))
    return len(way) in reached


def _onwards(way: Sequence[Segment], places: Iterable[int]) -> Iterator[int]:
    """These places, and those that any number of parts, being none, leads on to."""
    for place in places:
        yield place
        while place < len(way) and way[place] is None:
            place += 1
            yield place
