"""Realising: the one verb. Start reading at `realise.realise`."""

from vstore.realise.layers import Origin, RealisedLayer
from vstore.realise.prepare import Prepared, lock_spec
from vstore.realise.realise import Realised, realise
from vstore.realise.request import Request

__all__ = ["Origin", "Prepared", "Realised", "RealisedLayer", "Request", "lock_spec", "realise"]
