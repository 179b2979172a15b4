"""Worlds to try vstore in: wheels, stores, machines, servers. Tests, benchmarks and campaigns use them."""
