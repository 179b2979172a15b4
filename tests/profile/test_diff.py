from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vstore.profile import Change, compare

STACKS = st.dictionaries(
    st.sampled_from("abc"), st.dictionaries(st.sampled_from("xyz"), st.sampled_from("12"), max_size=3), max_size=3
)


def test_came_went_and_changed_in_the_order_of_the_new_layers() -> None:
    old = {"python": {"python": "3.11.7"}, "web": {"flask": "2.0", "click": "8.1"}, "gone": {"six": "1.16"}}
    new = {"python": {"python": "3.11.9"}, "new": {"rich": "13"}, "web": {"flask": "3.0", "jinja2": "3.1"}}
    assert compare(old, new) == (
        Change(layer="python", name="python", old="3.11.7", new="3.11.9"),
        Change(layer="new", name="rich", old=None, new="13"),
        Change(layer="web", name="click", old="8.1", new=None),
        Change(layer="web", name="flask", old="2.0", new="3.0"),
        Change(layer="web", name="jinja2", old=None, new="3.1"),
        Change(layer="gone", name="six", old="1.16", new=None),
    )


@given(STACKS)
def test_nothing_changed(stack: dict[str, dict[str, str]]) -> None:
    assert compare(stack, stack) == ()


@given(STACKS, STACKS)
def test_the_changes_make_the_new_of_the_old(old: dict[str, dict[str, str]], new: dict[str, dict[str, str]]) -> None:
    have = {(layer, name): version for layer, packages in old.items() for name, version in packages.items()}
    for change in compare(old, new):
        assert change.old != change.new
        assert have.pop((change.layer, change.name), None) == change.old
        if change.new is not None:
            have[change.layer, change.name] = change.new
    assert have == {(layer, name): version for layer, packages in new.items() for name, version in packages.items()}
