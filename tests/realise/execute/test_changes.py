"""The reason to build an object although there is an older one of its name."""

from __future__ import annotations

from pathlib import Path

from scripts.testing.trees import recipe
from vstore.objects import Kind
from vstore.realise.execute.changes import describe_change
from vstore.store import Provenance, Store

OLD: dict[str, object] = {
    "builder": 1,
    "python": "3.11.7",
    "interpreter": "i",
    "lowers": ["l"],
    "sources": ["s"],
    "wheels": [["a", "1", "x"], ["b", "1", "x"], ["c", "1", "x"], ["d", "1", "x"]],
}


def test_each_part_of_a_recipe_is_told(tmp_path: Path) -> None:
    with Store.open(tmp_path / "root") as store:
        with store.staging("app-one") as staging:
            (staging / "a").write_text("1")
            provenance = Provenance(recipe=recipe("one"), metadata={"recipe_text": OLD})
            info = store.add(staging, name="app-one", kind=Kind.APPLICATION, provenance=provenance)
        start = f"unlike {info.path}: "
        assert describe_change(store, "app-one", {**OLD, "sources": ["t"]}) == f"{start}its modules changed"
        changed = {**OLD, "python": "3.11.8", "interpreter": "j", "lowers": ["m"]}
        assert describe_change(store, "app-one", changed) == f"{start}its interpreter changed, a layer below changed"
        wheels = {**OLD, "wheels": [["a", "2", "y"], ["e", "1", "x"]]}
        text = f"{start}a 1 -> 2, b 1 -> none, c 1 -> none, 2 more packages"
        assert describe_change(store, "app-one", wheels) == text
        same_versions = {**OLD, "wheels": [["a", "1", "other"], *OLD["wheels"][1:]]}  # type: ignore[index]
        assert describe_change(store, "app-one", same_versions) == f"{start}its wheels changed"
        assert describe_change(store, "app-two", OLD) == "there is no earlier one"
        (tmp_path / "root" / "manifests" / str(info.path)).unlink()
        assert describe_change(store, "app-one", OLD) == "there is no earlier one"
