"""Collecting garbage: a pure plan, then carrying it out."""

from vstore.gc.collect import collect, exclusive_sizes, plan_collection, shortfall
from vstore.gc.model import Collected, Plan, Policy, Victim
from vstore.gc.plan import make_plan

__all__ = [
    "Collected",
    "Plan",
    "Policy",
    "Victim",
    "collect",
    "exclusive_sizes",
    "make_plan",
    "plan_collection",
    "shortfall",
]
