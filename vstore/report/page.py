"""The page that `vstore report` writes: one HTML file without scripts, which loads nothing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from vstore.objects import Kind, ObjectInfo, StorePath
from vstore.plural import count
from vstore.report.content import Content
from vstore.report.drawings import anchor, draw_graph, draw_timeline, draw_treemap, row_of
from vstore.sizes import size

MAX_ROWS = 500  # of one table, the largest or newest
GENERATOR = b'<meta name="generator" content="vstore report">'  # by which an earlier page is recognised


def render(content: Content) -> str:
    """Return the page. Its numbers are those of `gc --dry-run --json`, `list --json` and `roots --json`."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("vstore.report", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters |= {"size": size, "time": _time, "anchor": anchor}
    infos = {one.info.path: one.info for one in content.objects}
    current = [one.generation.path for found in content.profiles.values() for one in found if one.generation.current]
    graph, hidden_nodes = draw_graph(infos, sorted(set(current)))
    return environment.get_template("page.html").render(
        content=content,
        generator=GENERATOR.decode(),
        cells=draw_treemap(content.objects),
        timeline=draw_timeline(content.profiles, content.made_at),
        graph=graph,
        hidden_nodes=hidden_nodes,
        infos=infos,
        kinds=_kinds(infos),
        stays=_stays(content),
        max_rows=MAX_ROWS,
        count=count,
        row_of=row_of,
    )


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M")


def _kinds(infos: Mapping[StorePath, ObjectInfo]) -> list[tuple[Kind, int, int]]:
    """Return the number and the size of the objects of each kind, the largest first."""
    found: dict[Kind, list[int]] = {}
    for info in infos.values():
        found.setdefault(info.kind, []).append(info.size_bytes)
    return sorted(((kind, len(sizes), sum(sizes)) for kind, sizes in found.items()), key=lambda one: -one[2])


def _stays(content: Content) -> list[tuple[str, int, int]]:
    """Return why objects are not deleted: the reason, how many stay for it, and their size."""
    victims = set(content.plan.dead)
    stays: dict[str, list[int]] = {}
    for one in content.objects:
        if one.info.path in victims:
            continue
        if one.kept_by:
            reason = f"only {one.kept_by[0]} keeps it" if len(one.kept_by) == 1 else "several roots keep it"
        else:
            reason = "no root keeps it, but a limit of [gc] or an owner spares it"
        stays.setdefault(reason, []).append(one.info.size_bytes)
    rows = [(reason, len(sizes), sum(sizes)) for reason, sizes in stays.items()]
    return sorted(rows, key=lambda one: (-one[2], one[0]))
