"""The settings of Dask in the processes of vstore: what it measures, how long it waits, and what it logs."""

from __future__ import annotations

import logging

CONNECT_SECONDS = 10.0
_SETTINGS: dict[str, object] = {
    "distributed.admin.system-monitor.gil.enabled": False,
    "distributed.admin.system-monitor.interval": "5s",  # less often than by default, as it costs 1 % of a core
    "distributed.admin.tick.interval": "500ms",
    "distributed.comm.timeouts.connect": CONNECT_SECONDS,
    "distributed.comm.timeouts.tcp": 30.0,  # without an answer, before a connection counts as lost
    "distributed.diagnostics.nvml": False,
    "distributed.scheduler.allowed-failures": 1000,  # also of tasks that only waited; clients count starts
    "distributed.scheduler.http.routes": ["distributed.http.scheduler.info", "distributed.http.health"],
    "distributed.scheduler.no-workers-timeout": 3600.0,  # clients have a limit of their own
    "distributed.worker.http.routes": ["distributed.http.health"],
    "distributed.worker.memory.pause": False,  # builds are other processes, and answers are small
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.terminate": False,
    "distributed.worker.profile.enabled": False,
}
_LOGGERS = ("distributed", "distributed.client", "tornado", "bokeh")


def configure_dask(*, log: bool) -> None:
    """Set up Dask in this process. With `log` it logs on standard error, else its failures are raised as errors only.

    Its own configuration files do not change these settings.
    """
    import dask
    import distributed.config  # sets up the loggers that are changed below

    assert distributed.config
    dask.config.set(_SETTINGS)
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.INFO if log else logging.CRITICAL + 1)
    logging.getLogger("asyncio").setLevel(logging.WARNING if log else logging.CRITICAL + 1)
