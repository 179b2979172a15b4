"""Write docs/api.md from the modules of `vstore.api`; a test fails when it is stale."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "api.md"
MODULES = (
    "stores",
    "process",
    "maintenance",
    "doctor",
    "config",
    "specs",
    "locks",
    "realising",
    "layers",
    "plans",
    "profiles",
    "gc",
    "publishing",
    "caches",
)
HEAD = """\
# The Python API

`vstore.api` is what scripts may build on; the command line itself uses nothing else, and a test sees to it. What is
named here keeps its name and meaning from one minor release to the next; anything else in the package may change.
Everything is typed; errors are those of `vstore.errors`, each with `message`, `details`, `hint` and `exit_code`.

```python
from pathlib import Path

from vstore.api import gc, profiles, realising, stores

with stores.open_store() as store:  # $VSTORE_ROOT, or this user's data folder
    done = realising.realise(store, realising.Request(spec=Path("spec.toml")))
    print(done.profile, done.generation, done.stack)
    for generation in profiles.history(store, done.profile):
        print(generation.number, generation.path, generation.created_at)
    for victim in gc.plan_collection(store).victims:  # what `vstore gc` would delete now
        print(victim.path, victim.size_bytes)
```

A `Request` holds what `vstore realise` takes as options. Long work takes a `reporter` (`vstore.reporter.Reporter`, four
methods); without one it is silent. This page is written by `scripts/api_reference.py`.
"""


def page() -> str:
    return HEAD + "".join(section for name in MODULES for section in _section(name))


def _section(name: str) -> Iterator[str]:
    module = importlib.import_module(f"vstore.api.{name}")
    yield f"\n## `vstore.api.{name}`\n\n{_first_line(module)}\n\n| name | |\n|---|---|\n"
    for one in module.__all__:
        yield f"| `{one}` | {_first_line(getattr(module, one))} |\n"


def _first_line(found: object) -> str:
    text = (inspect.getdoc(found) or "").strip()
    return text.partition("\n")[0].replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
