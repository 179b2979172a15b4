"""Progress, notes and warnings of long work, and cancelling it.

Example::

    from vstore.api import maintenance, reporting, stores


    class Warnings(reporting.NullReporter):
        def warn(self, text, hint=None):
            print("warning:", text)


    with stores.open_store() as store:
        maintenance.optimise(store, reporter=Warnings())
"""

from vstore.cancel import Cancelled, CancelToken
from vstore.reporter import CancellableReporter, NullReporter, Reporter, Unit

__all__ = ["CancelToken", "CancellableReporter", "Cancelled", "NullReporter", "Reporter", "Unit"]
