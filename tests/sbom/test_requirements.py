from __future__ import annotations

from packaging.requirements import Requirement

from vstore.lock.markers import marker_environment
from vstore.sbom.requirements import Installed, requirement_edges
from vstore.target import Target

ENVIRONMENT = marker_environment(Target.LINUX_X86_64, "3.12.4")


def edges(**requirements: list[str]) -> dict[str, tuple[str, ...]]:
    """Return the edges of distributions that see each other; a requirement `[x]` declares an extra."""
    visible = {name: name for name in requirements}
    return requirement_edges(
        {
            name: Installed(
                requirements=[Requirement(text) for text in texts if not text.startswith("[")],
                extras=[text.strip("[]") for text in texts if text.startswith("[")],
                visible=visible,
                environment=ENVIRONMENT,
            )
            for name, texts in requirements.items()
        }
    )


def test_markers_are_those_of_the_target() -> None:
    found = edges(a=["b; sys_platform == 'linux'", "c; python_version < '3.12'", "gone"], b=[], c=[])
    assert found == {"a": ("b",), "b": (), "c": ()}


def test_an_extra_counts_if_another_distribution_requires_it() -> None:
    """Also in a circle, and where one of its requirements is not installed."""
    found = edges(a=["b[X-y]"], b=["[x_y]", "a[z]", "c; extra == 'x-y'", "gone; extra == 'x_y'"], c=[])
    assert found == {"a": ("b",), "b": ("a", "c"), "c": ()}


def test_an_extra_counts_if_all_that_it_requires_is_installed() -> None:
    found = edges(a=["[x]", "[y]", "b; extra == 'x'", "c; extra == 'y'", "gone; extra == 'y'"], b=[], c=[])
    assert found["a"] == ("b",)


def test_nothing_depends_on_itself_and_odd_markers_are_false() -> None:
    assert edges(a=["a", "b; python_version ~= 'x'"], b=[]) == {"a": (), "b": ()}
