"""Test suites that packages bring along."""

import subprocess
import sys

subprocess.run([sys.executable, "-m", "unittest", "-q", "zope.interface.tests.test_interface"], check=True)
subprocess.run(
    [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--pyargs", "numpy.lib.tests.test_stride_tricks"],
    check=True,
)
