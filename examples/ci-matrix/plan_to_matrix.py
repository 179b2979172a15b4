"""Carry out a plan by the jobs of a CI system: one job for each node, each on a machine with an empty store.

    vstore plan SPEC --cache CACHE --json > plan.json
    python plan_to_matrix.py levels plan.json        # the matrix of each level, as JSON, for GitHub Actions
    python plan_to_matrix.py pipeline plan.json      # a child pipeline with a job for each node, for GitLab
    python plan_to_matrix.py sources plan.json       # the source objects to push to the cache first
    python plan_to_matrix.py build plan.json KEY     # what the job of a node does

A job needs the objects of those before it. They come from the cache; `built/KEY`, which jobs pass on as an
artifact, has the store path of each. The environment has CACHE, SIGNING_KEY (the file of the secret key) and
TRUSTED_KEY (its public half).
"""

import json
import os
import shlex
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

VSTORE = shlex.split(os.environ.get("VSTORE", "vstore"))
BUILT = Path("built")


def missing(plan: dict) -> dict[str, dict]:
    """Return the nodes without an object, by key."""
    return {node["key"]: node for node in plan["nodes"] if node["object"] is None}


def levels(plan: dict) -> list[dict]:
    """Return a matrix for each level: the nodes whose dependencies are all in the levels before."""
    nodes, found = missing(plan), []
    sorter = TopologicalSorter(
        {key: [one for one in node["dependencies"] if one in nodes] for key, node in nodes.items()}
    )
    sorter.prepare()
    while ready := sorter.get_ready():
        rows = [{"key": key, "name": nodes[key]["recipe"]["name"]} for key in sorted(ready)]
        found.append({"include": [{**row, "target": nodes[row["key"]]["recipe"]["target"]} for row in rows]})
        sorter.done(*ready)
    return found


def pipeline(plan: dict) -> dict:
    """Return a pipeline of GitLab. Its jobs need the job `plan` of its parent, which has the plan, and one another."""
    nodes, parent = missing(plan), {"pipeline": "$PARENT_PIPELINE_ID", "job": "plan"}
    titles = {key: f"{node['recipe']['name']} {node['recipe']['target']} {key[:8]}" for key, node in nodes.items()}
    jobs = {
        titles[key]: {
            "needs": [parent, *({"job": titles[one]} for one in node["dependencies"] if one in nodes)],
            "script": ["pip install vstore", f"python ci/plan_to_matrix.py build plan.json {key}"],
            "artifacts": {"paths": [f"built/{key}"]},
        }
        for key, node in nodes.items()
    }
    return {"default": {"image": "python:3.12"}, **(jobs or {"nothing to build": {"script": ["true"]}})}


def sources(node: dict) -> list[str]:
    """Return the source objects that a node is built from."""
    return node["recipe"].get("sources", [])


def build(node: dict) -> None:
    """Fetch what a node needs, build it, and push its object. Write its store path."""
    cache, signing_key = os.environ["CACHE"], os.environ["SIGNING_KEY"]
    below = {key: (BUILT / key).read_text().strip() for key in node["dependencies"] if key not in node["objects"]}
    needed = [*node["objects"].values(), *below.values(), *sources(node)]
    if needed:
        subprocess.run([*VSTORE, "pull", cache, *needed, "--trust", os.environ["TRUSTED_KEY"]], check=True)
    objects = [f"--object={key}={path}" for key, path in below.items()]
    command = [*VSTORE, "build", "-", *objects]
    path = subprocess.run(command, input=json.dumps(node), text=True, check=True, stdout=subprocess.PIPE).stdout.strip()
    subprocess.run([*VSTORE, "push", cache, path, "--key", signing_key], check=True)
    BUILT.mkdir(exist_ok=True)
    (BUILT / node["key"]).write_text(f"{path}\n")


def main(command: str, file: str, *keys: str) -> None:
    """Run one of the commands."""
    plan = json.loads(Path(file).read_text())
    match command:
        case "levels":
            sys.stdout.write(json.dumps(levels(plan)))
        case "pipeline":
            sys.stdout.write(json.dumps(pipeline(plan), indent=1))
        case "sources":
            found = {one for node in missing(plan).values() for one in sources(node)}
            sys.stdout.write("".join(f"{one}\n" for one in sorted(found)))
        case "build":
            build(missing(plan)[keys[0]])


if __name__ == "__main__":
    main(*sys.argv[1:])
