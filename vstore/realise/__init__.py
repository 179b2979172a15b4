"""Realising: the one verb. Start reading at `vstore.realise.realise`.

Nothing is imported here: the answer to a no-op, in `cached_stack`, must not wait for what builds.
"""
