"""The part of a worker: it realises one node for each task, and signs what it pushes."""
