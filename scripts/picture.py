"""Draw the README's picture of a session from the output in the tutorial: `.venv/bin/python -m scripts.picture`."""

from __future__ import annotations

import io

from rich.console import Console
from rich.text import Text

from scripts.tutorial import PAGE, ROOT, Step, page_steps

PICTURE = ROOT / "docs" / "pictures" / "session.svg"
SHOWN = (
    "vstore init",
    "cd hello",
    "vstore realise",
    "vstore run hello hello",
    "sed ",
    "vstore diff",
    "vstore rollback",
)
_COLUMNS = 100
_SVG = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" role="img">
<title>A session with vstore: init, realise, run, upgrade, diff, rollback</title>
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace;
font-size: {char_height}px; line-height: {line_height}px; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def chosen(steps: list[Step]) -> list[Step]:
    """Return the steps of the tutorial that the picture shows: up to the rollback, those that do something."""
    named = [step for step in steps if step.command.startswith(SHOWN) and "is still generation" not in step.output]
    last = next(number for number, step in enumerate(named) if step.command.startswith("vstore rollback"))
    return named[: last + 1]


def draw(steps: list[Step]) -> str:
    """Return an SVG of a terminal with these commands and their output."""
    console = Console(record=True, width=_COLUMNS, file=io.StringIO(), color_system="truecolor", force_terminal=True)
    for step in steps:
        console.print(Text.assemble(("$ ", "bold green"), (step.command, "bold")))
        for line in step.output.splitlines():
            text = Text(line[: _COLUMNS - 1] + "…" if len(line) > _COLUMNS else line)
            text.highlight_regex(r"\bbuilt\b|\badopted\b", "green")
            text.highlight_regex(r"\bpresent\b", "dim")
            text.highlight_regex(r"^(layer|hello:) .*", "bold")
            text.highlight_regex(r"\b[0-9a-z]{32}-", "dim")
            console.print(text)
    return console.export_svg(title="vstore", code_format=_SVG, unique_id="session")


if __name__ == "__main__":
    PICTURE.write_text(draw(chosen(page_steps(PAGE.read_text("utf-8")))), "utf-8")
    print(PICTURE.relative_to(ROOT))
