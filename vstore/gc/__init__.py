"""Garbage collection: a pure plan, and its execution."""

from vstore.gc.clean import distrust_pools
from vstore.gc.collect import collect_garbage, exclusive_sizes, exclusive_sizes_in, plan_collection, shortfall
from vstore.gc.delete import delete, plan_deletion
from vstore.gc.model import Collected, CollectionPlan, CollectionPolicy, Victim
from vstore.gc.ownership import owner_names
from vstore.gc.plan import plan_victims

__all__ = [
    "Collected",
    "CollectionPlan",
    "CollectionPolicy",
    "Victim",
    "collect_garbage",
    "delete",
    "distrust_pools",
    "exclusive_sizes",
    "exclusive_sizes_in",
    "owner_names",
    "plan_collection",
    "plan_deletion",
    "plan_victims",
    "shortfall",
]
