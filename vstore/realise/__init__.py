"""Realising: the one verb. Start reading at `vstore.realise.realise`.

Nothing is imported here, as a no-op (`noop`) must not load the code that builds.
"""
