"""Progress, notes, warnings and details of long work, and cancelling it.

A subclass of `NullReporter` needs only the methods that it uses.

Example::

    from vstore.api import maintenance, reporting, stores


    class Warnings(reporting.NullReporter):
        def warn(self, text, hint=None):
            print("warning:", text)


    with stores.open_store() as store:
        maintenance.optimise(store, reporter=Warnings())
"""

from vstore.cancel import Cancelled, CancelToken
from vstore.reporter import CancellableReporter, Detail, NullReporter, Reporter, Unit

__all__ = ["CancelToken", "CancellableReporter", "Cancelled", "Detail", "NullReporter", "Reporter", "Unit"]
