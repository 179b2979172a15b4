"""The pictures of the page as coordinates: the treemap, the timeline and the graph of references (pure)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from vstore.graph import bottom_up, reachable
from vstore.objects import Kind, ObjectInfo, StorePath
from vstore.report.content import ReportedGeneration, ReportedObject
from vstore.report.treemap import Box, squarify
from vstore.sizes import size

MAX_NODES = 60  # of the graph
MAX_CELLS = 300  # objects of one kind in the treemap: the others are one rectangle
_MIN_SIDE = 3.0  # of a rectangle in the treemap: smaller ones are left out, and stand in the table
_HEADING = 16.0
_CHARACTER = 6.6  # the width of one, roughly
_MAP = Box(0, 0, 1200, 640)
_LINE = 34.0  # the height of a profile in the timeline
_LEFT = 170.0  # the width of its names
_NODE = Box(0, 0, 190, 26)
_GAP_X, _GAP_Y = 46.0, 10.0


class Cell(NamedTuple):
    """A rectangle of the treemap: its kind, the text in it if that fits, its description, and the row that it shows."""

    box: Box
    kind: Kind
    level: int  # 0 for a kind, 1 for an object, 2 for a package
    label: str
    title: str
    anchor: str | None


class Mark(NamedTuple):
    """A generation in the timeline."""

    x: float
    y: float
    current: bool
    title: str
    anchor: str


class Timeline(NamedTuple):
    """The generations of the profiles on one axis of time; `ticks` are places on it with their dates."""

    height: float
    names: tuple[tuple[float, str], ...]
    marks: tuple[Mark, ...]
    ticks: tuple[tuple[float, str], ...]


class Node(NamedTuple):
    """An object in the graph of references."""

    box: Box
    kind: Kind
    label: str
    title: str
    anchor: str


class Drawing(NamedTuple):
    """The graph: objects, and lines from the right side of an object to the left side of one that refers to it."""

    width: float
    height: float
    nodes: tuple[Node, ...]
    lines: tuple[tuple[float, float, float, float], ...]


def anchor(path: StorePath) -> str:
    """Return the id of an object's row."""
    return f"object-{path.short}"


def row_of(profile: str, number: int) -> str:
    """Return the id of a generation's row."""
    return f"generation-{profile}-{number}"


def draw_treemap(objects: Sequence[ReportedObject]) -> list[Cell]:
    """Return the rectangles of kinds, of objects in them, and of packages in these. `objects` descend in size."""
    groups: dict[Kind, list[ReportedObject]] = {}
    for one in objects:
        if one.info.size_bytes:
            groups.setdefault(one.info.kind, []).append(one)
    kinds = sorted(groups.items(), key=lambda found: -_bytes(found[1]))
    cells = []
    for (kind, members), box in zip(kinds, squarify([_bytes(found) for _, found in kinds], _MAP), strict=True):
        text = f"{kind}: {len(members)}, {size(_bytes(members))}"
        cells.append(Cell(box, kind, 0, _fitting(f"{kind} {size(_bytes(members))}", box), text, None))
        cells += _cells_of_objects(kind, members, box.inside(2, _HEADING))
    return cells


def _cells_of_objects(kind: Kind, members: Sequence[ReportedObject], inner: Box) -> list[Cell]:
    cells = []
    shown, rest = members[:MAX_CELLS], members[MAX_CELLS:]
    sizes = [one.info.size_bytes for one in shown]
    *boxes, others = squarify([*sizes, _bytes(rest)], inner) if rest else [*squarify(sizes, inner), Box(0, 0, 0, 0)]
    if rest:
        text = f"{len(rest)} more: {size(_bytes(rest))}"
        cells.append(Cell(others, kind, 1, _fitting(text, others), text, None))
    for one, box in zip(shown, boxes, strict=True):
        if min(box.width, box.height) < _MIN_SIDE:
            break
        exclusive = f", {size(one.usage.exclusive_bytes)} exclusive on the disk" if one.usage else ""
        title = f"{one.info.path}: {size(one.info.size_bytes)}{exclusive}"
        cells.append(Cell(box, kind, 1, _fitting(one.info.path.name, box), title, anchor(one.info.path)))
        cells += _cells_of_packages(kind, one, box.inside(2, _HEADING))
    return cells


def _cells_of_packages(kind: Kind, one: ReportedObject, inner: Box) -> list[Cell]:
    packages = [part for part in one.packages if part.package and part.size_bytes]
    cells = []
    for part, box in zip(packages, squarify([part.size_bytes for part in packages], inner), strict=True):
        if min(box.width, box.height) < _MIN_SIDE:
            break
        name = " ".join(filter(None, (part.package, part.version)))
        cells.append(Cell(box, kind, 2, _fitting(part.package or "", box), f"{name}: {size(part.size_bytes)}", None))
    return cells


def _bytes(members: Sequence[ReportedObject]) -> int:
    return sum(one.info.size_bytes for one in members)


def _fitting(text: str, box: Box) -> str:
    """Return the text if it fits into the heading of a rectangle, its beginning if most does, else nothing."""
    room = int((box.width - 6) / _CHARACTER)
    if box.height < _HEADING or room < 4:
        return ""
    return text if len(text) <= room else f"{text[: room - 1]}…"


def draw_timeline(profiles: Mapping[str, Sequence[ReportedGeneration]], now: datetime) -> Timeline:
    """Return the generations of all profiles until now, a line for each profile."""
    times = [one.generation.created_at for found in profiles.values() for one in found]
    first, last = min(times, default=now), max([*times, now])
    span = max((last - first) / timedelta(seconds=1), 1.0)

    def x(moment: datetime) -> float:
        return _LEFT + 20 + (_MAP.width - _LEFT - 40) * ((moment - first) / timedelta(seconds=1)) / span

    names, marks = [], []
    for number, (profile, found) in enumerate(profiles.items()):
        y = 20 + number * _LINE
        names.append((y, profile if len(profile) <= 24 else f"{profile[:23]}…"))
        for one in found:
            generation = one.generation
            title = (
                f"{profile} generation {generation.number}, {generation.created_at:%Y-%m-%d %H:%M}"
                f"{', current' if generation.current else ''}: adds {size(one.added_bytes)}"
            )
            place = row_of(profile, generation.number)
            marks.append(Mark(x(generation.created_at), y, generation.current, title, place))
    height = 20 + len(profiles) * _LINE + 20
    dates = [first + (last - first) * step / 4 for step in range(5)]
    form = "%Y-%m-%d" if last - first > timedelta(days=2) else "%m-%d %H:%M"
    return Timeline(height, tuple(names), tuple(marks), tuple((x(one), one.strftime(form)) for one in dates))


def draw_graph(infos: Mapping[StorePath, ObjectInfo], tops: Sequence[StorePath]) -> tuple[Drawing, int]:
    """Return the graph of what these objects refer to, and how many more there are than it shows.

    An object is to the right of all that it refers to. A reference that others already imply has no line.
    """
    wanted = reachable(tops, lambda path: infos[path].references if path in infos else ()) & infos.keys()
    shown = bottom_up({path: set(infos[path].references) & wanted for path in wanted})[:MAX_NODES]
    columns: dict[StorePath, int] = {}
    for path in shown:
        below = [columns[one] for one in infos[path].references if one in columns]
        columns[path] = max(below, default=-1) + 1
    rows: dict[int, int] = {}
    nodes: dict[StorePath, Node] = {}
    for path in shown:
        column = columns[path]
        row = rows[column] = rows.get(column, -1) + 1
        x, y = column * (_NODE.width + _GAP_X) + 4, row * (_NODE.height + _GAP_Y) + 4
        box = Box(x, y, _NODE.width, _NODE.height)
        label = _fitting(path.name, box)
        nodes[path] = Node(box, infos[path].kind, label, f"{path}: {size(infos[path].size_bytes)}", anchor(path))
    lines = tuple(
        (nodes[low].box.x + _NODE.width, _middle(nodes[low].box), nodes[path].box.x, _middle(nodes[path].box))
        for path in shown
        for low in _direct(path, infos)
        if low in nodes
    )
    width = (max(columns.values(), default=0) + 1) * (_NODE.width + _GAP_X)
    height = (max(rows.values(), default=0) + 1) * (_NODE.height + _GAP_Y) + 8
    return Drawing(width, height, tuple(nodes.values()), lines), len(wanted) - len(shown)


def _middle(box: Box) -> float:
    return box.y + box.height / 2


def _direct(path: StorePath, infos: Mapping[StorePath, ObjectInfo]) -> list[StorePath]:
    """Return the references that no other reference of the object leads to."""
    references = set(infos[path].references) - {path}
    implied = {
        far
        for near in references
        for far in reachable([near], lambda one: infos[one].references if one in infos else ())
        if far != near
    }
    return sorted(references - implied)
