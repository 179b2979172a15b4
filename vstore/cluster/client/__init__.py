"""The part of the client: it submits the nodes of a plan as tasks, counts the answers, and fetches the results."""
