"""The objects that a worker needs for the node of a task. The client has put them into the cache."""

from __future__ import annotations

from dataclasses import replace

from vstore.build.recipe import InterpreterRecipe, LayerRecipe, Recipe, is_node_key
from vstore.cluster.tasks import ClusterTask
from vstore.errors import BuildError, UsageError
from vstore.objects import Kind, StorePath
from vstore.realise.execute.messages import NodeTask
from vstore.realise.plan.document import Node
from vstore.store import Store
from vstore.target import Target


def resolved_recipe(node: Node) -> Recipe:
    """Return the recipe over objects. Raises UsageError if one is not known."""
    paths = {key: node.objects.get(key, key) for key in node.recipe.all_dependencies}
    if unknown := [str(path) for path in paths.values() if is_node_key(path)]:
        raise UsageError(f"{node.recipe.name}: the objects of dependencies are unknown: {', '.join(unknown)}")
    return node.recipe.over(paths)


def check_can_build(task: ClusterTask) -> None:
    """Raise BuildError if only a machine that adopts an interpreter can build the node."""
    recipe = task.work.node.recipe
    if isinstance(recipe, InterpreterRecipe) and not recipe.pin.is_managed(recipe.target):
        raise BuildError(
            f"{recipe.name} is not in the cache {task.cache}, and a worker adopts no interpreter",
            hint="`vstore push` it from a machine that has it",
        )
    if recipe.kind != Kind.STACK and recipe.target != Target.host() and task.work.compiler is None:
        raise BuildError(f"{recipe.name} is for {recipe.target}, and no interpreter of {Target.host()} is given")


def needed_objects(task: ClusterTask, recipe: Recipe) -> list[StorePath]:
    """Return the objects that a build needs."""
    found = [*recipe.all_dependencies, *task.wheels.values()]
    if isinstance(recipe, LayerRecipe):
        found += recipe.sources
    if task.work.compiler is not None:
        found.append(task.work.compiler)
    return found


def with_local_wheels(store: Store, task: ClusterTask) -> NodeTask:
    """Return the node with the places of local wheels in this store."""
    recipe = task.work.node.recipe
    if not isinstance(recipe, LayerRecipe) or not task.wheels:
        return task.work
    wheels = tuple(
        replace(one, location=str(store.layout.object(task.wheels[one.sha256]) / one.filename))
        if one.sha256 in task.wheels
        else one
        for one in recipe.wheels
    )
    node = Node(recipe=replace(recipe, wheels=wheels), objects=task.work.node.objects)
    return NodeTask(node=node, compiler=task.work.compiler, lock=task.work.lock)
