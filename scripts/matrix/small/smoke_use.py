"""Use what depends on where files lie: templates, resources, entry points, a kernel."""

import importlib.metadata
import importlib.resources
import json
import subprocess
import sys

import flask
import numpy
import zope.component
import zope.event
import zope.interface
from google.protobuf import timestamp_pb2
from google.rpc import status_pb2
from jaraco import functools, text

application = flask.Flask("here")
with application.app_context():
    print(flask.render_template_string("{{ 1 + 1 }} {{ x | upper }}", x="a"))
print(numpy.linalg.inv(numpy.eye(2)).tolist(), numpy.get_include().rpartition("site-packages")[2])
print(len(importlib.resources.files("numpy").joinpath("__init__.py").read_bytes()))
print(sorted(one.name for one in importlib.metadata.entry_points(group="console_scripts"))[:20])
print(
    timestamp_pb2.Timestamp(seconds=1),
    status_pb2.Status(code=2),
    functools.compose(len, str)(12),
    text.FoldedCase("A") == "a",
)
print(zope.event.subscribers, zope.interface.Interface, zope.component.queryUtility(zope.interface.Interface))
listed = subprocess.run(
    [sys.executable, "-m", "jupyter", "kernelspec", "list", "--json"], capture_output=True, text=True
)
print(sorted(json.loads(listed.stdout)["kernelspecs"]) if listed.returncode == 0 else "no kernelspec command")
print(subprocess.run([sys.executable, "-m", "interrogate", "--version"], capture_output=True, text=True).stdout)
