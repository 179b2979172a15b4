"""Collecting garbage: a pure plan, then carrying it out."""

from vstore.gc.collect import Collected, collect, exclusive_sizes, plan_collection, shortfall
from vstore.gc.plan import Plan, make_plan

__all__ = ["Collected", "Plan", "collect", "exclusive_sizes", "make_plan", "plan_collection", "shortfall"]
