"""The scheduler and the workers of a cluster, each in this process until it gets SIGTERM or SIGINT.

Example::

    from vstore.api import stores, workers
    from vstore.errors import VstoreError

    address = workers.SchedulerAddress.parse("tcp://127.0.0.1:8786")
    try:
        workers.run_worker(stores.default_root(), workers.WorkerOptions(scheduler=address, jobs=2))
    except VstoreError as error:
        print(error)
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from vstore.cluster import scheduler
from vstore.cluster.address import SchedulerAddress
from vstore.cluster.resources import parse_resource
from vstore.cluster.scheduler import SchedulerOptions
from vstore.cluster.security import TlsFiles
from vstore.cluster.worker import service
from vstore.cluster.worker.service import WorkerOptions
from vstore.config import read_config
from vstore.extras import require_extra
from vstore.reporter import NullReporter, Reporter
from vstore.store import StoreLayout

__all__ = [
    "SchedulerAddress",
    "SchedulerOptions",
    "TlsFiles",
    "WorkerOptions",
    "find_tls_files",
    "parse_resource",
    "run_scheduler",
    "run_worker",
]


def find_tls_files(root: Path, given: Mapping[str, Path | None], environment: Mapping[str, str]) -> TlsFiles | None:
    """Return the TLS files of this machine: each `given`, else from the environment, else of the store's config.toml.

    `given` has the keys ``ca``, ``cert`` and ``key``. None if there is not one of them. Raises UsageError if only some
    are known, or one of them cannot be used.
    """
    return TlsFiles.find(given, environment, read_config(StoreLayout(root).config_file).cluster)


def run_scheduler(options: SchedulerOptions | None = None, *, reporter: Reporter | None = None) -> None:
    """Run a scheduler until a signal. Its address is a note for the `reporter`.

    Raises UsageError without the extra ``cluster`` or for an address that needs TLS, BusyError for a port in use.
    """
    require_extra("cluster", "schedulers")
    scheduler.run_scheduler(options or SchedulerOptions(), reporter or NullReporter())


def run_worker(root: Path, options: WorkerOptions, *, reporter: Reporter | None = None) -> None:
    """Work for a scheduler with the store at `root`, which is made if it does not exist, until a signal.

    The first signal lets running nodes end, the second ends the process at once. Raises UsageError without the extra
    ``cluster`` or without a key, StoreError or ToolError if this machine is not fit, and ClusterError if the scheduler
    does not answer or has gone.
    """
    require_extra("cluster", "workers")
    service.run_worker(root, options, reporter or NullReporter())
