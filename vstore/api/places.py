"""The places where layers are built: processes of this machine, or the workers of a scheduler.

Example::

    from vstore.api import places

    print(places.parse_place("local[4]"), places.parse_place("tcp://127.0.0.1:8786"))
"""

from __future__ import annotations

from vstore.cluster.address import LocalProcesses, SchedulerAddress, parse_place

__all__ = ["LocalProcesses", "SchedulerAddress", "parse_place"]
