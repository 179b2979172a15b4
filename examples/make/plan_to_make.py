"""Write a Makefile that carries out a plan: `vstore plan SPEC --json | python plan_to_make.py DIR && make -j -C DIR`.

Each node becomes a rule. Its file holds the store path of its object; the rule gives it to the nodes above.
"""

import json
import sys
from pathlib import Path

RULE = """
{key}: {prerequisites}
\t$(VSTORE) build {key}.json{objects} > $@.new && mv $@.new $@
"""


def main(folder: Path) -> None:
    """Write the Makefile and the nodes of the plan on standard input into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    plan = json.load(sys.stdin)
    missing = [node for node in plan["nodes"] if node["object"] is None or node["cached"]]
    lines = ["VSTORE ?= vstore\n", "all: " + " ".join(node["key"] for node in missing) + "\n"]
    for node in missing:
        (folder / f"{node['key']}.json").write_text(json.dumps(node))
        below = node["dependencies"]
        objects = "".join(f" --object {key}=$$(cat {key})" for key in below)
        lines.append(RULE.format(key=node["key"], prerequisites=" ".join(below), objects=objects))
    (folder / "Makefile").write_text("".join(lines))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
