"""A cluster: many machines realise the nodes of a plan. Dask distributes the work, and signed caches the objects."""
