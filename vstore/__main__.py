"""`python -m vstore`."""

from vstore.cli import main

main()
