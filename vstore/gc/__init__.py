"""Collecting garbage: a pure plan, then carrying it out."""

from vstore.gc.clean import distrust_pools
from vstore.gc.collect import collect, exclusive_sizes, plan_collection, shortfall
from vstore.gc.delete import delete, keepers, plan_deletion
from vstore.gc.model import Collected, Plan, Policy, Victim
from vstore.gc.ownership import owners
from vstore.gc.plan import make_plan

__all__ = [
    "Collected",
    "Plan",
    "Policy",
    "Victim",
    "collect",
    "delete",
    "distrust_pools",
    "exclusive_sizes",
    "keepers",
    "make_plan",
    "owners",
    "plan_collection",
    "plan_deletion",
    "shortfall",
]
