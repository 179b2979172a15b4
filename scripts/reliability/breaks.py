"""What vstore promises, each promise broken on purpose in a copy of the code: a test must notice.

A break replaces a few lines, which must be found once in their file, and names the tests that are to fail then.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_SECONDS = 900
FAST = "not slow or fast"  # an expression of pytest's markers
_PARTS = ("vstore", "tests", "scripts", "docs", "examples", "pyproject.toml", "README.md")


@dataclass(frozen=True, slots=True)
class Break:
    """`promise` no longer holds when `right` in `file` is `wrong`; `tests` are pytest's arguments."""

    promise: str
    file: str
    right: str
    wrong: str
    tests: str


BREAKS = (
    Break(
        "the object that another builder stated before counts",
        "cluster/worker/work.py",
        "            record = read_back(cache, record, trust, stated=states)\n",
        "",
        "tests/cluster/worker/test_work.py -k stated_before",
    ),
    Break(
        "a worker signs what it substituted",
        "cluster/worker/work.py",
        "            realisation=sign(record, keys),\n",
        "            realisation=sign(record, keys if layer.origin != Origin.SUBSTITUTED else ()),\n",
        "tests/cluster/worker/test_work.py -k pushed_and_stated",
    ),
    Break(
        "a worker that is to sign for itself takes no object of another",
        "cluster/worker/work.py",
        "CacheSubstituter(() if task.signer else (cache,), fetcher)",
        "CacheSubstituter((cache,), fetcher)",
        "tests/cluster/worker/test_work.py -k slots",
    ),
    Break(
        "a failed build is an answer",
        "cluster/worker/work.py",
        "            return self._failed(task, AnswerState.FAILED, error)\n",
        "            raise\n",
        "tests/cluster/worker/test_work.py -k failed_build",
    ),
    Break(
        "a worker adopts no interpreter",
        "cluster/worker/inputs.py",
        "    if isinstance(recipe, InterpreterRecipe) and not recipe.pin.is_managed(recipe.target):\n",
        "    if False:\n",
        "tests/cluster/worker/test_work.py -k adopts_no_interpreter",
    ),
    Break(
        "a worker that is told to end waits for its nodes",
        "cluster/worker/work.py",
        "            self._ended.wait_for(lambda: not self._running, seconds)\n",
        "",
        "tests/cluster/worker/test_work.py -k end_waits",
    ),
    Break(
        "the inputs of a running node are kept from a collection",
        "remote/sync/pull.py",
        "        fetcher.store.add_temp_root(*level)\n",
        "",
        "tests/cluster/worker/test_work.py -k takes_nothing",
    ),
    Break(
        "nobody gets what was pushed to another cache",
        "cluster/tasks.py",
        "        same = [PROTOCOL, str(recipe.key), self.cache, self.signer, self.attempt]\n",
        "        same = [PROTOCOL, str(recipe.key), self.signer, self.attempt]\n",
        "tests/cluster/test_tasks.py",
    ),
    Break(
        "machines of another release exchange no message",
        "cluster/tasks.py",
        "    if found != PROTOCOL:\n",
        "    if False:\n",
        "tests/cluster/test_tasks.py",
    ),
    Break(
        "an object counts once enough keys state that object",
        "cluster/client/agreement.py",
        "    if not counts or counts[0][1] < require or",
        "    if len(votes) < require or",
        "tests/cluster/client/test_agreement.py tests/cluster/client/test_executor.py",
    ),
    Break(
        "an answer counts with the signature of a trusted key",
        "cluster/client/execution.py",
        "        names = {one.name for one in trust.keys if one.raw in signed}\n",
        "        names = {one.name for one in trust.keys}\n",
        "tests/cluster/client/test_executor.py",
    ),
    Break(
        "a failed build is not tried again",
        "cluster/client/execution.py",
        "            self._fail(key, failure_of(answer), answer.worker)\n",
        "            work.attempts += 1\n",
        "tests/cluster/client/test_executor.py",
    ),
    Break(
        "another key signs if no worker offers a key any more",
        "cluster/client/fitting.py",
        "        lost = frozenset(key for key, at in self._offered_at.items() if now - at >= self._limit_seconds)\n",
        "        lost = frozenset[str]()\n",
        "tests/cluster/client/test_fitting.py -k lost",
    ),
    Break(
        "two who push an object at once have both signed it",
        "remote/file_cache/writer.py",
        "            joined = add_signatures(signer.known.without_wrong(found), *own.signatures)\n",
        "            joined = own\n",
        "tests/remote/records/test_cache.py -k have_both_signed",
    ),
    Break(
        "a wait for a worker that fits has a limit",
        "cluster/client/fitting.py",
        "            if now - since >= self._limit_seconds:\n",
        "            if False:\n",
        "tests/cluster/client/test_fitting.py",
    ),
    Break(
        "a channel points to no stack that the cache lacks a part of",
        "cluster/worker/channels.py",
        "        if record is None or fault is not None:\n",
        "        if record is None:\n",
        "tests/cluster/test_channels.py",
    ),
    Break(
        "a worker signs no channel of a stack that too few keys state",
        "cluster/worker/channels.py",
        "        if stated is None or stated.path != wanted.path or not trust.trusts(stated):\n",
        "        if False:\n",
        "tests/cluster/test_channels.py",
    ),
    Break(
        "a channel that points to the stack already gets no new number",
        "remote/records/channels.py",
        "        return PublishedChannel(record=before, changed=False)\n",
        "        return PublishedChannel(record=cache.writer.add_channel(name, make, before, signer))\n",
        "tests/remote/records/test_channels.py",
    ),
    Break(
        "a version before the mistake is not affected",
        "audit/matching.py",
        "        elif bound != Bound.LIMIT and not _before(version, one):\n",
        "        elif bound != Bound.LIMIT:\n",
        "tests/audit/test_matching.py",
    ),
    Break(
        "an ignore that has expired does not count",
        "audit/ignores.py",
        "            if about and not self._is_expired(ignore):\n",
        "            if about:\n",
        "tests/audit/test_ignores.py",
    ),
    Break(
        "a lock with a malicious version is refused",
        "audit/malicious.py",
        "    if found:\n",
        "    if len(found) > 99:\n",
        "tests/audit/test_malicious.py",
    ),
    Break(
        "advisories behind a URL are fetched again when they have changed",
        "audit/remote_source.py",
        "[self.place, found.size_bytes, found.modified.isoformat()]",
        "[self.place]",
        "tests/audit/test_remote_source.py",
    ),
    Break(
        "an SBOM states no licence expression that is not valid",
        "sbom/licences.py",
        '    return Licence(text.strip().partition("\\n")[0].strip()[:_LONGEST_NAME], is_expression=False)\n',
        '    return Licence(text.strip().partition("\\n")[0].strip()[:_LONGEST_NAME], is_expression=True)\n',
        "tests/sbom/test_licences.py",
    ),
    Break(
        "a shared library belongs to the component of its name",
        "sbom/bundled.py",
        "if len(keys) == 1 else rest.append(file)",
        "if not keys else rest.append(file)",
        "tests/sbom/test_document.py",
    ),
    Break(
        "an SBOM replaces only an SBOM of vstore",
        "sbom/document.py",
        "    return _START.match(read_start(path, _START_BYTES)) is not None\n",
        "    return True\n",
        "tests/cli/commands/test_sbom.py",
    ),
    Break(
        "an SBOM of a cache counts only if trusted keys have signed it",
        "remote/sync/sboms.py",
        "    if reason is not None:\n",
        "    if False:\n",
        "tests/remote/records/test_cache.py -k signed_it",
    ),
    Break(
        "a damaged SBOM of a cache is refused, and pushed again",
        "remote/maintenance/integrity.py",
        "    if (fault := _size_fault(blob, record.size_bytes)) or folder is None:\n        return fault\n    file =",
        "    return None\n    file =",
        "tests/remote/sync/test_reuse.py -k sbom",
    ),
    Break(
        "an SBOM of a cache is deleted with its object",
        "remote/file_cache/inventory.py",
        'key.startswith(("sboms/", "deltas/", "archives/"))',
        'key.startswith(("deltas/", "archives/"))',
        "tests/remote/records/test_cache.py -k deleted_with",
    ),
    Break(
        "a collection finds the archive of an object, whatever its name",
        "remote/file_cache/layout.py",
        'name.rpartition("/")[2]',
        'name.rpartition("/")[2].partition(".from.")[0]',
        "tests/remote/file_cache",
    ),
    Break(
        "the list of an image's artifacts keeps those of others",
        "publish/image/attachments.py",
        "    listed = tuple(listed)\n",
        "    listed = ()\n",
        "tests/publish/image/test_attachments.py",
    ),
    Break(
        "a name cannot bring markup into a report",
        "report/page.py",
        "        autoescape=True,\n",
        "        autoescape=False,\n",
        "tests/report/test_page.py",
    ),
    Break(
        "a report replaces only an earlier report",
        "api/reports.py",
        "    return GENERATOR in read_start(path, _HEAD_BYTES)\n",
        "    return True\n",
        "tests/report/test_page.py",
    ),
    Break(
        "an installer removes only the copy of a layer's metadata",
        "environments/distributions.py",
        "encode_record_file(entries, dist_info)",
        '(layer / dist_info / "RECORD").read_bytes()',
        "tests/environments/test_develop.py",
    ),
    Break(
        "what a user installed in a development environment stays",
        "environments/plan.py",
        "    own = {one.name for one in installed if not one.is_copy}\n",
        "    own = set[str]()\n",
        "tests/environments/test_develop.py",
    ),
    Break(
        "a development environment has no link to a folder of the store",
        "store/roots/links.py",
        "        target /= LAYER_FILE\n",
        "        pass\n",
        "tests/environments/test_develop.py",
    ),
    Break(
        "an environment that vstore did not make is not replaced",
        "environments/develop.py",
        "stat.S_ISDIR(status.st_mode) and layer_of(path) is not None",
        "stat.S_ISDIR(status.st_mode)",
        "tests/environments/test_develop.py",
    ),
    Break(
        "what starts in a layer follows the profile",
        "environments/activation.py",
        '    place = found.place / "layers" / layer.name\n',
        "    place = store.layout.object(layer.path)\n",
        "tests/environments/test_activation.py",
    ),
    Break(
        "kernels of others are not replaced",
        "environments/kernels.py",
        "lambda path, _: not path.is_symlink() and Kernel.read(path) is not None",
        "lambda path, _: True",
        "tests/environments/test_kernels.py",
    ),
    Break(
        "a spec for a project of another tool keeps the version of every package that a layer below could have",
        "migration/proposal.py",
        "return tuple(sorted(map(str, pins)))",
        "return tuple(sorted(map(str, pins)))[1:]",
        "tests/migration/test_proposal.py",
    ),
    Break(
        "a login of a package index is in no proposed spec",
        "migration/indexes.py",
        "plain = without_login(url)",
        "plain = url",
        "tests/migration/formats/test_requirements_txt.py",
    ),
    Break(
        "what a proposed spec does not take over is listed",
        "migration/requirement.py",
        "self.leave_out(text, wheel_hint(without_login(requirement.url), SPEC, _named(requirement)))",
        "pass",
        "tests/migration/formats/test_pyproject.py",
    ),
    Break(
        "variables about a project of uv's change no lock",
        "uv/environment.py",
        "left_out = _SET_BY_VSTORE | _OF_PROJECTS",
        "left_out = _SET_BY_VSTORE",
        "tests/uv/test_environment.py",
    ),
    Break(
        "places in variables are relative to the user's folder",
        "uv/environment.py",
        "return name + os.path.abspath(place)",
        "return name + place",
        "tests/uv/test_environment.py",
    ),
    Break(
        "a source object lives as long as its layer",
        "store/index/objects.py",
        " UNION ALL SELECT object, input FROM object_inputs",
        "",
        "tests/flows/test_plan.py",
    ),
    Break(
        "a node is what its key says",
        "realise/plan/document.py",
        "    if str(recipe.key) != key:\n",
        "    if False:\n",
        "tests/flows/test_plan.py",
    ),
    Break(
        "pip uninstall is refused in a layer",
        "build/python_link.py",
        "requirement = a-layer-of-vstore",
        "# requirement = a-layer-of-vstore",
        "tests/flows/test_readonly.py",
    ),
    Break(
        "looking at a layer with uv writes nothing",
        "build/python_link.py",
        """    write_file(layer / UV_LOCK, b"", durable=False)
""",
        "",
        "tests/flows/test_readonly.py",
    ),
    Break(
        "a script can be given to Python",
        "build/scripts/posix.py",
        """return f"{head}\\n'''':\\n{lines}'''\\n{python}".encode()""",
        "return shell.encode()",
        "tests/build/scripts/test_launchers.py",
    ),
    Break(
        "different distributions are merged file by file",
        "build/links.py",
        """            for child_name, child in self._children(new).items():
                self._merge(merged, child_name, child)
""",
        "",
        "tests/build/test_links.py tests/flows/test_merging.py",
    ),
    Break(
        "a clash between layers is told",
        "build/links.py",
        "        self.clashes.append((kept._replace(path=at), hidden))\n",
        "",
        "tests/build/test_links.py tests/flows/test_merging.py",
    ),
    Break(
        "what a layer's Python makes stands on the store's interpreter",
        "build/python_link.py",
        '_BESIDE_PROGRAM = ("lib", "include")',
        "_BESIDE_PROGRAM = ()",
        "tests/flows/test_environments.py",
    ),
    Break(
        "what venv writes can be written again",
        "build/interpreter/store_patches.py",
        '_COPIES.sub(_WRITABLE, module.read_bytes().decode("utf-8"))',
        'module.read_bytes().decode("utf-8")',
        "tests/flows/test_environments.py",
    ),
    Break(
        "the row comes after the content",
        "store/store.py",
        """            move_in(self.layout, staged, self.layout.object(path))
            self.objects.register(info, kept)
""",
        """            self.objects.register(info, kept)
            move_in(self.layout, staged, self.layout.object(path))
""",
        "tests/reliability/test_kill_points.py",
    ),
    Break(
        "the content is flushed before the row",
        "store/store.py",
        "            flush_filesystem(self.layout.store)\n",
        "",
        "tests/fs/test_flush.py",
    ),
    Break(
        "uv is told all that is known of the interpreter",
        "lock/markers.py",
        "for key, value in marker_environment(target, python).items() if value}",
        'for key, value in marker_environment(target, python).items() if "platform" in key and value}',
        "tests/lock/test_platforms.py",
    ),
    Break(
        "a platform that nobody named does not refuse a lock",
        "spec/model.py",
        "        return tuple(target for target in layer.targets if target in above)\n",
        "        return layer.targets\n",
        "tests/lock/test_platforms.py",
    ),
    Break(
        "a platform that a lock leaves out is not realised",
        "lock/wheels.py",
        "    why = locked.findings.left_out.get(str(target))\n",
        "    why = None\n",
        "tests/lock/test_platforms.py",
    ),
    Break(
        "a package that a lower pin holds back is told",
        "lock/resolution/solve.py",
        "            return _TargetSolution(versions=found, unpinned=unpinned)\n",
        "            return _TargetSolution(versions=found)\n",
        "tests/lock/test_held_back.py",
    ),
    Break(
        "a warning of uv about a package of a layer is told",
        "lock/resolution/resolve.py",
        "warnings=(*self._warnings(layer, dependencies, solution), *without_native)",
        "warnings=tuple(without_native)",
        "tests/lock/resolution/test_uv_warnings.py",
    ),
    Break(
        "a stack whose packages do not suit each other is told",
        "lock/resolution/conflicts.py",
        "        if hidden:\n",
        "        if not hidden:\n",
        "tests/lock/test_held_back.py",
    ),
    Break(
        "what the system of another layer holds back is told",
        "lock/resolution/held_back.py",
        "    for name, version, without in behind:\n        holders =",
        "    for name, version, without in (one for one in behind if one[0] in limits):\n        holders =",
        "tests/lock/test_held_back.py",
    ),
    Break(
        "what another platform holds back is told",
        "lock/resolution/solve.py",
        ", separate=alone.versions)",
        ", separate=None)",
        "tests/lock/test_held_back.py",
    ),
    Break(
        "what another stack of a joint lock holds back is told",
        "lock/resolution/joint.py",
        "    if direct.isdisjoint(inside) and all(",
        "    if direct or all(",
        "tests/lock/test_held_back.py",
    ),
    Break(
        "a first lock that pins below forbid is made jointly",
        "lock/resolution/resolve.py",
        "            self.joint |= {one.env_name: {} for one in layers}\n",
        "            raise\n",
        "tests/lock/resolution/test_joint.py",
    ),
    Break(
        "pins that are there already are not changed for a new layer",
        "lock/resolution/resolve.py",
        " or any(one.env_name in self.old_locks for one in layers):",
        ":",
        "tests/lock/resolution/test_joint.py",
    ),
    Break(
        "the platforms of a hint can be locked",
        "lock/resolution/missing_wheels.py",
        "for target in layer.targets if target in possible]",
        "for target in layer.targets if target not in {one.target for one in own}]",
        "tests/lock/test_wheels.py",
    ),
    Break(
        "the commands of a hint run as printed",
        "spec/requirement_hints.py",
        ' and word != "~/" else shlex.quote(word)',
        ' and word != "~/" else word',
        "tests/spec/test_requirements.py",
    ),
    Break(
        "a wheel's activate script or pyvenv.cfg does not replace the layer's",
        "build/packages.py",
        "    _leave_out(tree, layout)\n",
        "",
        "tests/build/test_packages.py tests/build/scripts/test_activation.py",
    ),
    Break(
        "a login in a spec is refused",
        "credentials.py",
        "    return re.search(_USERINFO, url) is not None or re.search(_QUERY, url, re.IGNORECASE) is not None\n",
        "    return False\n",
        "tests/spec/test_requirements.py",
    ),
    Break(
        "an object is read-only",
        "store/staging.py",
        "            freeze_directory(folder.at)\n",
        "",
        "tests/store/test_store.py tests/store/health/test_verify.py",
    ),
    Break(
        "references of a valid object are valid",
        "store/store.py",
        "        if missing:\n",
        "        if False:\n",
        "tests/store/test_store.py",
    ),
    Break(
        "the schema forgets nothing that is referred to",
        "store/index/schema.sql",
        "    reference INTEGER NOT NULL REFERENCES objects (id) ON DELETE RESTRICT,",
        "    reference INTEGER NOT NULL REFERENCES objects (id) ON DELETE CASCADE,",
        "tests/store/index/test_objects.py",
    ),
    Break(
        "two processes build a recipe once",
        "store/layout.py",
        'f"recipe-{recipe.short}"',
        'f"recipe-{recipe.short}-{os.getpid()}"',
        "tests/store/test_processes.py",
    ),
    Break(
        "naming a temp root waits for a collector that decides",
        "store/roots/temp.py",
        "            with lock_file(self._layout.locks.gc, shared=True):\n",
        '            with lock_file(self._layout.locks.gc.with_name("other"), shared=True):\n',
        "tests/store/test_roots.py tests/gc/test_collect.py",
    ),
    Break(
        "a temp root keeps its objects",
        "store/roots/reading.py",
        "    yield from _temp_roots(layout, prune)  # first",
        "    pass  # first",
        "tests/store/test_roots.py tests/gc",
    ),
    Break(
        "a running program keeps its objects",
        "store/roots/reading.py",
        "    if running:  # last",
        "    if False:  # last",
        "tests/store/test_roots.py tests/gc",
    ),
    Break(
        "what came alive after the plan is spared",
        "gc/remove.py",
        "            self._mark_live(current_roots(store, running=look) - self._roots)\n",
        "",
        "tests/gc",
    ),
    Break(
        "deleting takes the row out first",
        "gc/remove.py",
        """            store.objects.forget(victim.path for victim in gone)
            reached(Point.GC_FORGOTTEN)
""",
        """            _discard(layout, [f"{layout.store.name}/{victim.path}" for victim in gone])
            store.objects.forget(victim.path for victim in gone)
            reached(Point.GC_FORGOTTEN)
""",
        "tests/reliability/test_kill_points.py",
    ),
    Break(
        "nobody waits while a collector unlinks",
        "gc/unlink.py",
        "    with lock_file(layout.locks.trash), layout",
        "    with lock_file(layout.locks.gc), lock_file(layout.locks.trash), layout",
        "tests/flows/test_scenarios.py",
    ),
    Break(
        "a dry run names what is deleted",
        "gc/collect.py",
        "    return replace(plan, orphans=orphans, unclear=unclear), graph, roots\n",
        "    plan = replace(plan, victims=plan.victims[1:] if measure else plan.victims)\n"
        "    return replace(plan, orphans=orphans, unclear=unclear), graph, roots\n",
        "tests/gc tests/cli/commands/test_collect.py",
    ),
    Break(
        "there is room to collect on a full disk",
        "store/emergency_space.py",
        "            layout.emergency_space.unlink()\n",
        "            pass\n",
        "tests/gc/test_remove.py -k full_disk",
    ),
    Break(
        "freed is what the disk got back",
        "gc/unlink.py",
        """        if is_last_name(status):
            self._freed(held_bytes(status))
""",
        "        self._freed(held_bytes(status))\n",
        "tests/gc/test_collect.py tests/cli/commands/test_collect.py",
    ),
    Break(
        "a dry run counts a file that others have as kept",
        "fs/trees/usage.py",
        "            if left := self._names_left(key, names) - 1:\n",
        "            if left := 0:\n",
        "tests/fs/trees/test_usage.py tests/cli/commands/test_collect.py",
    ),
    Break(
        "a collection goes on until the disk has so much free",
        "gc/collect.py",
        "free_bytes=free_bytes(root),",
        "free_bytes=free_bytes(root) + (1 << 40),",
        "tests/cli/commands/test_collect.py",
    ),
    Break(
        "nothing leads to a cached wheel that is gone",
        "gc/clean.py",
        "        for pointer in wheel.pointers:\n",
        "        for pointer in ():\n",
        "tests/gc/test_uv_cache.py",
    ),
    Break(
        "nothing is taken out of a cache in use",
        "gc/clean.py",
        "            held.enter_context(_uv_lock(cache, blocking=blocking))\n",
        "            pass\n",
        "tests/gc/test_uv_cache.py",
    ),
    Break(
        "a build's wheels stay in uv's cache",
        "realise/execute/object_builder.py",
        "        self._disk_guard.hold_cache()\n",
        "",
        "tests/flows/test_space.py",
    ),
    Break(
        "a wheel that an object shares stays in uv's cache",
        "gc/uv_cache.py",
        "            if names <= self._inside[_inode(mark)]:\n",
        "            if names:\n",
        "tests/gc/test_uv_cache.py",
    ),
    Break(
        "a damaged file that wheels share is not linked again",
        "realise/execute/object_builder.py",
        "            distrust_pools(self.store.layout, self.session.reporter)\n",
        "",
        "tests/flows/test_shared_inodes.py",
    ),
    Break(
        "a profile is switched in one step",
        "profile/generations.py",
        "        folder.replace_symlink(generation.profile, generation_link(generation.profile, generation.number))\n",
        """        folder.unlink(generation.profile)
        reached(Point.PROFILE_SWITCHED)
        folder.replace_symlink(generation.profile, generation_link(generation.profile, generation.number))
""",
        "tests/reliability/test_kill_points.py",
    ),
    Break(
        "a profile leads to a generation that is recorded",
        "profile/generations.py",
        """        store.generations.add(generation)
        reached(Point.GENERATION_RECORDED)
        _set_current(store, generation)
""",
        """        _set_current(store, generation)
        store.generations.add(generation)
        reached(Point.GENERATION_RECORDED)
""",
        "tests/reliability/test_kill_points.py",
    ),
    Break(
        "the order of a folder's entries does not count",
        "fs/trees/scan.py",
        "    work.entries.sort()\n",
        "",
        "tests/fs/trees/test_manifest.py",
    ),
    Break(
        "the owner's executable bit counts",
        "fs/trees/scan.py",
        "EntryKind.FILE, bool(status.st_mode & 0o100), size",
        "EntryKind.FILE, False, size",
        "tests/fs/trees/test_manifest.py",
    ),
    Break(
        "a disk that fails is an error, not the end of the process",
        "fs/trees/scan.py",
        "                part.madvise(_POPULATE_READ)\n",
        "",
        "tests/fs/trees/test_manifest.py",
    ),
    Break(
        "no link leaves the store",
        "fs/trees/manifest.py",
        '    if target.startswith(b"/") or b".." in parts[ups:] or not target:\n',
        "    if not target:\n",
        "tests/fs/trees/test_manifest.py tests/archive/test_hostile.py",
    ),
    Break(
        "an archive has a limit to its content",
        "fs/trees/validate.py",
        "        if self.total_bytes > limits.total_bytes:\n",
        "        if False:\n",
        "tests/archive/test_hostile.py",
    ),
    Break(
        "what is fetched is what was asked for",
        "remote/sync/fetch.py",
        """        index = read_index(reader, tree=record.digest)
        if StorePath.make(index.manifest.digest, record.path.name) != record.path:
""",
        """        index = read_index(reader)
        if False:
""",
        "tests/remote/sync/test_fetch.py tests/remote/sync/test_pull.py",
    ),
    Break(
        "only trusted keys are believed",
        "remote/records/trust.py",
        "        if count >= require:\n",
        "        if signatures:\n",
        "tests/remote/records/test_trust.py tests/remote/sync/test_fetch.py",
    ),
    Break(
        "no older number of a channel is taken",
        "remote/records/channels.py",
        "        if channel.number < number:\n",
        "        if False:\n",
        "tests/remote/sync/test_fetch.py",
    ),
    Break(
        "a claim to a channel's number leaves no tag",
        "remote/registry_cache/channels.py",
        "stored is None or self.repository.delete(stored.key):",
        "stored is None or self.repository.delete(stored.key) or True:",
        "tests/remote/registry_cache/test_channels.py",
    ),
    Break(
        "what a patch gives is verified",
        "remote/sync/delta.py",
        "        if hash_file(file) != digest:\n",
        "        if False:\n",
        "tests/remote/sync/test_delta.py",
    ),
    Break(
        "what a cache lists is complete",
        "remote/sync/push.py",
        """        for future in references:
            future.result()
""",
        "",
        "tests/remote/sync/test_push_order.py",
    ),
    Break(
        "a layer of a stack has a name that leads nowhere else",
        "profile/stack.py",
        "    if not is_object_name(text):\n",
        "    if False:\n",
        "tests/reliability/test_hostile_input.py -k stack",
    ),
    Break(
        "a stack that is read can be written again",
        "profile/stack.py",
        "        if stack.encode() != data:\n",
        "        if False:\n",
        "tests/reliability/test_hostile_input.py -k stack",
    ),
    Break(
        "the metadata of a layer that are read can be written again",
        "build/layer_metadata.py",
        "        if metadata.encode() != data:\n",
        "        if False:\n",
        "tests/reliability/test_hostile_input.py -k layer.json",
    ),
    Break(
        "the index of a delta that is read can be written again",
        "remote/sync/delta.py",
        "        if _encode_index(found) != text:\n",
        "        if False:\n",
        "tests/remote/sync/test_delta.py -k window_larger",
    ),
    Break(
        "a managed build whose texts are malformed is an error",
        "build/interpreter/standalone.py",
        "    except _MALFORMED as error:\n",
        "    except () as error:\n",
        "tests/build/interpreter/test_standalone.py -k malformed",
    ),
    Break(
        "a text of a managed build has a limit",
        "build/interpreter/standalone.py",
        "        if text and path.lstat().st_size > _TEXT_BYTES:\n",
        "        if False:\n",
        "tests/build/interpreter/test_standalone.py -k malformed",
    ),
    Break(
        "a managed build with a sparse file is refused",
        "build/interpreter/tarball.py",
        "            if member.issparse():\n",
        "            if False:\n",
        "tests/build/interpreter/test_standalone.py -k sparse",
    ),
    Break(
        "a managed build with damaged gzip is an error",
        "build/interpreter/tarball.py",
        "(tarfile.TarError, zlib.error, EOFError,",
        "(tarfile.TarError, EOFError,",
        "tests/build/interpreter/test_standalone.py -k damaged",
    ),
    Break(
        "libraries that a file announces are counted before they are read",
        "build/native/elf.py",
        "    if len(found.get(_NEEDED, ())) + len(run_path_at) > _MOST_STRINGS:\n",
        "    if False:\n",
        "tests/build/interpreter/test_standalone.py -k library_that_needs",
    ),
    Break(
        "an archive of more entries than any reader takes is not written",
        "archive/pack.py",
        "        check_tree(manifest, self._limits)\n",
        "",
        "tests/archive/test_hostile.py -k limits",
    ),
    Break(
        "an archive whose index no reader takes is not written",
        "archive/format.py",
        "    _check_length(len(stored), len(content), limits or Limits())\n",
        "",
        "tests/archive/test_hostile.py -k limits",
    ),
    Break(
        "an archive that holds too much for its size is not written",
        "archive/pack.py",
        "        check_ratio(sum(content for _, content in sizes), output.size_bytes, self._limits)\n",
        "",
        "tests/archive/test_hostile.py -k bomb",
    ),
    Break(
        "a record that nobody could read is not written",
        "remote/records/encoding.py",
        """            raise ValueError(f"more than {MAX_RECORD_BYTES >> 20} MiB")
        parse_json(data, max_values=_MAX_VALUES)
""",
        "            pass\n",
        "tests/remote/records/test_encoding.py -k nobody_could_read",
    ),
    Break(
        "a delta that gives more than the disk has free is not begun",
        "remote/sync/delta.py",
        "    if sum(sizes[digest] for digest in made) > free_bytes(folder):\n",
        "    if False:\n",
        "tests/remote/sync/test_hostile_deltas.py -k disk",
    ),
    Break(
        "applying a patch takes no more memory than a window needs",
        "remote/sync/delta.py",
        "resource.setrlimit(resource.RLIMIT_AS, (memory, memory))\n",
        "",
        "tests/remote/sync/test_hostile_deltas.py -k expands",
    ),
    Break(
        "a listing without end is an error",
        "remote/transport/bucket.py",
        "                if len(found) > MAX_LISTED:\n",
        "                if len(found) > 100 * MAX_LISTED:\n",
        "tests/remote/transport/test_bucket.py",
    ),
    Break(
        "a header of a managed build is small, as one may follow another",
        "build/interpreter/tarball.py",
        "_HEADER_BYTES = 64 << 10 ",
        "_HEADER_BYTES = 1 << 20 ",
        "tests/build/interpreter/test_standalone.py -k little_memory",
    ),
    Break(
        "a lock whose values are of other kinds is malformed",
        "documents.py",
        """        if not isinstance(value, str):
            raise self.error(key, "a string")
        return value
""",
        "        return value  # type: ignore[return-value]\n",
        "tests/reliability/test_hostile_input.py -k lock",
    ),
    Break(
        "a damaged header does not end a managed build",
        "build/interpreter/tarball.py",
        "                bounded.check_end()\n",
        "",
        "tests/build/interpreter/test_standalone.py -k damaged",
    ),
    Break(
        "a web server's answer is read no further than it was asked for",
        "remote/transport/http_client.py",
        "data = answer.read(end - start, decode_content=False)",
        "data = answer.read(decode_content=False)[: end - start]",
        "tests/remote/transport/test_web.py",
    ),
    Break(
        "a request to a web server ends when its time is over",
        "remote/transport/connection.py",
        "self._timer.start()",
        "pass",
        "tests/remote/transport/test_web.py",
    ),
    Break(
        "what is read from JSON can be written again",
        "digest.py",
        "        canonical_json(value)  # refuses an unpaired surrogate\n",
        "        pass\n",
        "tests/test_digest.py tests/remote/records/test_encoding.py",
    ),
    Break(
        "counts of an archive's index are checked before anything is made of them",
        "archive/format.py",
        "    if count > min(limits.entries, start // _MIN_FRAME_BYTES):\n"
        '        raise ValueError("more frames than the archive has room for")\n',
        "",
        "tests/archive/test_memory.py",
    ),
    Break(
        "an unsigned object may not hold more than its archive makes plausible",
        "remote/sync/fetch.py",
        "Limits().without_ratio() if self.trust.trusts(record) else Limits()",
        "Limits().without_ratio()",
        "tests/publish/test_bundle.py",
    ),
    Break(
        "a tree is written only where it has room",
        "archive/assemble.py",
        "    _check_free_space(destination, plan)\n",
        "",
        "tests/archive/test_memory.py",
    ),
    Break(
        "links of an interpreter's archive are made when nothing more is written",
        "build/interpreter/tarball.py",
        "            self._links[path] = member.linkname\n",
        "            self._make_parents(path)\n"
        "            make_link(self._staging / path, member.linkname, folder=False)\n"
        "            self._validator, self._directories = TreeValidator(Limits()), {''}\n",
        "tests/build/interpreter/test_standalone.py -k hostile_is",
    ),
    Break(
        "a stack that cannot run becomes no generation",
        "api/caches.py",
        "    if missing or not layers:\n",
        "    if False:\n",
        "tests/publish/test_bundle.py",
    ),
    Break(
        "a stop ends what waits for a network",
        "remote/transport/event_loop.py",
        "        with cancel.calling(future.cancel):\n",
        "        if True:\n",
        "tests/remote/transport/test_event_loop.py",
    ),
    Break(
        "who may not write to a folder cannot lock its files",
        "fs/locking/filelock.py",
        "    mode = 0o600 | writers | writers << 1\n",
        "    mode = 0o644\n",
        "tests/fs/locking/test_filelock.py",
    ),
    Break(
        "a link in place of a lock is not followed",
        "fs/locking/filelock.py",
        "                return open_handle(name, follow=False, dir_fd=folder, access=os.O_RDWR)\n",
        "                return os.open(name, os.O_RDWR | os.O_CREAT, dir_fd=folder)\n",
        "tests/fs/locking/test_filelock.py",
    ),
    Break(
        "a signal ends the waits of threads",
        "cancel.py",
        "    WAITING.ended = True\n",
        "    pass\n",
        "tests/fs/locking/test_filelock.py",
    ),
    Break(
        "values of the index that make no sense are damage",
        "store/index/connection.py",
        "    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError) as error:\n",
        "    except ZeroDivisionError as error:\n",
        "tests/reliability/test_damage.py",
    ),
    Break(
        "an empty index beside objects is damage",
        "store/index/connection.py",
        "fetchone() or not is_new():\n",
        "fetchone():\n",
        "tests/reliability/test_damage.py",
    ),
    Break(
        "nothing is deleted while the index lacks what roots name",
        "gc/orphans.py",
        "    if wrong:\n        raise StoreError(",
        "    if False:\n        raise StoreError(",
        "tests/reliability/test_damage.py",
    ),
    Break(
        "nothing is deleted on the word of a damaged index",
        "gc/collect.py",
        "        store.database.check()",
        "        pass",
        "tests/reliability/test_damage.py",
    ),
    Break(
        "a client that keeps the server waiting is cut",
        "remote/serving/server.py",
        "        self._timer = self.loop.call_later(seconds, self.abort)\n",
        "        self._timer = None\n",
        "tests/remote/serving/test_endpoints.py",
    ),
    Break(
        "idle connections do not use up the server's descriptors",
        "remote/serving/server.py",
        "        if len(self.connections) > most_connections():\n",
        "        if False:\n",
        "tests/remote/serving/test_endpoints.py",
    ),
    Break(
        "the order in which Python keeps sets reaches no bytes",
        "build/interpreter/relocate.py",
        '    built_in = sorted((one for one in folders if one.startswith("/")), reverse=True)',
        '    built_in = list(one for one in folders if one.startswith("/"))',
        "tests/reliability/test_hash_seeds.py",
    ),
    Break(
        "a message that is lost stops nothing",
        "cli/output.py",
        """        with suppress(OSError):
            super().write(data)  # type: ignore[arg-type]
""",
        """        super().write(data)  # type: ignore[arg-type]
""",
        "tests/cli/test_output.py",
    ),
    Break(
        "no file of the store becomes standard output or error",
        "cli/output.py",
        "            os.open(os.devnull, os.O_WRONLY if descriptor == 2 else os.O_RDONLY)",
        "            pass",
        "tests/cli/test_output.py",
    ),
    Break(
        "a folder of the store that is a link is not followed",
        "fs/trees/removal.py",
        'NO_LINK = getattr(os, "O_NOFOLLOW", 0)',
        "NO_LINK = 0",
        "tests/fs/test_folder.py tests/store/test_layout.py",
    ),
    Break(
        "a store with a link in place of a folder is refused",
        "store/creation.py",
        "            if not stat.S_ISDIR(os.lstat(place).st_mode):",
        "            if not stat.S_ISDIR(os.stat(place).st_mode):",
        "tests/store/test_layout.py",
    ),
    Break(
        "what cannot be moved to the trash is removed in place",
        "gc/remove.py",
        "    except OSError:\n        return False\n",
        "    except OSError:\n        return True\n",
        "tests/gc/test_remove.py",
    ),
    Break(
        "what is removed in place is not an object that was added again",
        "gc/remove.py",
        "                        if self._is_valid(name):",
        "                        if False:",
        "tests/gc/test_remove.py",
    ),
    Break(
        "settings that say how to reach an index reach every call of uv",
        "uv/process.py",
        "        return replace(self, settings=found, environment={**variables, **self.environment})\n",
        "        return replace(self, environment=self.environment)\n",
        "tests/flows/test_private_index.py",
    ),
    Break(
        "an object that is changed by optimise is noted first",
        "store/health/optimise.py",
        "                note_change(self._scratch, target)\n",
        "",
        "tests/reliability/test_kill_points.py",
    ),
    Break(
        "a collection freezes what an interrupted optimise left",
        "gc/collect.py",
        "    freeze_interrupted(store.layout)\n",
        "",
        "tests/reliability/test_kill_points.py",
    ),
    Break(
        "what a user has at a place is not replaced",
        "fs/place.py",
        "    if old is not None and not ours(path, old):",
        "    if old is not None and stat.S_ISDIR(old.st_mode) and not ours(path, old):",
        "tests/fs/test_place.py tests/cli/test_places.py",
    ),
    Break(
        "what appears at a place meanwhile is not replaced",
        "fs/place.py",
        "        if not _same(os.lstat(new), place.old):",
        "        if False:",
        "tests/fs/test_place.py",
    ),
    Break(
        "what is left unfinished goes only with our mark and without an owner",
        "fs/scratch.py",
        "            if place.is_symlink() or read_regular(place / _MARKER, limit=len(_TEXT), follow=False) != _TEXT:",
        "            if place.is_symlink():",
        "tests/fs/test_place.py",
    ),
    Break(
        "a folder with files of others does not become a store",
        "store/creation.py",
        "        _check_new_root(layout.root)\n",
        "        pass\n",
        "tests/cli/test_places.py",
    ),
    Break(
        "a command ends at a signal that Python does not hear",
        "cli/signals.py",
        '        threading.Thread(target=_watch, args=(reader,), name="signals", daemon=True).start()\n',
        "",
        "tests/flows/test_signals.py -k endless",
    ),
    Break(
        "a repository of another user is not there",
        "spec/files/checkout.py",
        """        if os.name == "posix" and not {os.lstat(place).st_uid, os.stat(place).st_uid} <= owners:
            return None
""",
        "",
        "tests/spec/files/test_checkout.py -k another_user",
    ),
    Break(
        "tracked files belong to a module though they are ignored, and other ignored ones do not",
        "spec/files/checkout.py",
        "        return self._first_from(path) == path\n",
        "        return True\n",
        "tests/spec/files/test_sources.py -k leaves_out",
    ),
    Break(
        "modules stay in the project",
        "spec/files/module_roots.py",
        "        if not any(real.is_relative_to(root) for root in self.roots):\n",
        "        if False:\n",
        "tests/spec/files/test_sources.py -k above",
    ),
    Break(
        "what was served can be collected",
        "remote/packing/packed_archives.py",
        "        with self._store.kept_alive(path):\n",
        "        self._store.add_temp_root(path)\n        if True:\n",
        "tests/remote/serving/test_endpoints.py -k collected",
    ),
    Break(
        "a packed archive goes with its object",
        "gc/remove.py",
        "[*places, *archives_of(layout, paths - self._live)]",
        "places",
        "tests/remote/serving/test_endpoints.py -k collected",
    ),
    Break(
        "packed archives have a limit",
        "remote/packing/archive_files.py",
        "            if self._total_bytes <= self._max_bytes:\n                return\n            for",
        "            if True:\n                return\n            for",
        "tests/remote/packing/test_packed_archives.py -k longest_unused",
    ),
    Break(
        "a kept archive is used only if its bytes are those that were packed",
        "remote/packing/archive_files.py",
        "            if digest_of(to, check) == digest:\n",
        "            if digest_of(to, check):\n",
        "tests/remote/packing/test_packed_archives.py -k not_as_it_was",
    ),
    Break(
        "an archive of another packer is not this packer's",
        "store/index/archives.py",
        ' AND level = ? AND packer = ?"""',
        ' AND level = ? AND ? <> \'\'"""',
        "tests/remote/packing/test_packed_archives.py -k level_or_packer",
    ),
    Break(
        "an archive that a registry has is not packed for a push",
        "remote/sync/push.py",
        "            if self._cache.writer.has_archive(record):\n",
        "            if False:\n",
        "tests/remote/packing/test_packed_archives.py -k a_registry_has",
    ),
    Break(
        "an object is packed once",
        "remote/packing/packed_archives.py",
        "            return self._taken(path, file) or self._pack",
        "            return self._pack",
        "tests/remote/packing/test_packed_archives.py -k without_packing",
    ),
    Break(
        "a signal ends what is being packed",
        "remote/serving/server.py",
        "        self._cancel.set()\n",
        "",
        "tests/remote/serving/test_endpoints.py -k signal_ends",
    ),
    Break(
        "the server's log holds no logins",
        "remote/serving/server.py",
        "printable(redact(unquote(record.getMessage())))",
        "printable(unquote(record.getMessage()))",
        "tests/remote/serving/test_endpoints.py -k log_logins",
    ),
    Break(
        "a cache of uv's that has no locks is left alone",
        "gc/clean.py",
        "        except (BusyError, NoFileLocks):\n",
        "        except BusyError:\n",
        "tests/flows/test_shared_caches.py -k left_alone",
    ),
    Break(
        "a lock holds no token of a wheel's URL",
        "lock/resolution/postprocess.py",
        "            return replace(wheel, location=without_login(local))\n",
        "            return wheel\n",
        "tests/flows/test_logins_of_indexes.py -k into_a_lock",
    ),
    Break(
        "errors hide logins",
        "errors.py",
        "    return printable(redact(text))\n",
        "    return printable(text)\n",
        "tests/test_credentials.py",
    ),
    Break(
        "a log file hides logins",
        "cli/log_file.py",
        "for line in redact(text).splitlines()]",
        "for line in text.splitlines()]",
        "tests/cli/test_log_file.py -k no_logins",
    ),
    Break(
        "tracebacks hide logins",
        "cli/app.py",
        'lines = redact("".join(traceback.format_exception(error)))',
        'lines = "".join(traceback.format_exception(error))',
        "tests/remote/transport/test_logins.py -k without_its_login",
    ),
    Break(
        "a login of a download stays with its server",
        "uv/access.py",
        """                made.remove_header("Authorization")
""",
        """                pass
""",
        "tests/uv/test_access.py",
    ),
    Break(
        "a blob of a registry is compared with its digest",
        "remote/transport/registry/transport.py",
        "        if digest and digest != found:\n",
        "        if False:\n",
        "tests/remote/transport/registry/test_hostile.py -k may_lie_elsewhere",
    ),
    Break(
        "the login to a registry is not sent to the server that it redirects to",
        "remote/transport/http_client.py",
        "        if not self.is_home(at):\n            return",
        "        if False:\n            return",
        "tests/remote/transport/registry/test_hostile.py -k may_lie_elsewhere",
    ),
    Break(
        "the login to a registry with https is not sent to a token server with http",
        "remote/transport/registry/login.py",
        """allowed = ("https", "http") if self._options.plain_http else ("https",)""",
        """allowed = ("https", "http")""",
        "tests/remote/transport/registry/test_hostile.py -k into_the_open",
    ),
    Break(
        "no redirect leads from https to http",
        "remote/transport/http_client.py",
        """        if urlsplit(before).scheme == "https" != urlsplit(at).scheme:
""",
        """        if False:
""",
        "tests/remote/transport/test_logins.py -k tls",
    ),
    Break(
        "a refusal is not remembered",
        "remote/sync/substitute.py",
        "        if isinstance(error, AccessDeniedError):",
        "        if False:",
        "tests/remote/transport/test_logins.py -k not_remembered",
    ),
    Break(
        "a file that changes while it is read is refused",
        "fs/reading.py",
        """    if remaining:
        raise OSError(errno.ESTALE, "it changed while it was read", path)
""",
        "",
        "tests/spec/files/test_sources.py -k grows",
    ),
    Break(
        "a push replaces archives that are not as their records state",
        "remote/sync/reuse.py",
        '        return None if fault is None else f"its archive {fault}"\n',
        "        return None\n",
        "tests/remote/sync/test_reuse.py -k archive",
    ),
    Break(
        "a push replaces a record that says something else of an object",
        "remote/sync/reuse.py",
        "        if stated != (info.digest, info.kind, info.size_bytes, info.references):\n",
        "        if False:\n",
        "tests/remote/sync/test_reuse.py -k signed_and_wrong",
    ),
    Break(
        "a push makes a damaged delta again",
        "remote/sync/reuse.py",
        "        return found is not None and fault is None and self._signer",
        "        return found is not None and self._signer",
        "tests/remote/sync/test_reuse.py -k delta",
    ),
    Break(
        "a record lies at its own place",
        "remote/file_cache/reading.py",
        "    if key not in layout.keys_of(record):\n",
        "    if False:\n",
        "tests/remote/sync/test_fetch.py tests/remote/sync/test_reuse.py",
    ),
    Break(
        "an archive has the SHA-256 that its record states",
        "remote/maintenance/integrity.py",
        "        if found.sha256 != stated.sha256:\n",
        "        if False:\n",
        "tests/remote/sync/test_reuse.py -k signed_and_wrong",
    ),
    Break(
        "the tar stream of an archive has the SHA-256 that its record states",
        "remote/maintenance/integrity.py",
        "        if found.diff_id != stated.diff_id:\n",
        "        if False:\n",
        "tests/remote/sync/test_reuse.py -k another_tar_stream",
    ),
    Break(
        "each frame of an archive is compared with its index",
        "archive/verify.py",
        """            if len(content) != frame.content_bytes:
                raise ValueError("a frame has another length than its index states")
            stream.update(content)
            yield content

    try:
        _compare(ByteStream(contents()), index)
""",
        """            yield content

    try:
        list(contents())
""",
        "tests/remote/sync/test_reuse.py",
    ),
    Break(
        "an answer that nobody signed rightly is replaced",
        "remote/file_cache/writer.py",
        "            if found.path != own.path and (sound.signatures or not own.signatures):\n",
        "            if found.path != own.path:\n",
        "tests/remote/sync/test_reuse.py -k realisation",
    ),
    Break(
        "a channel takes no number from a record that no known key signed",
        "remote/records/trust.py",
        "        if record is None or not self.known.signers(record):\n",
        "        if record is None:\n",
        "tests/remote/sync/test_reuse.py -k nobody_signed",
    ),
    Break(
        "as many keys as required must have signed what a channel says",
        "remote/records/trust.py",
        "        require = self.require if require is None else require\n",
        "        require = 1\n",
        "tests/remote/records/test_channels.py",
    ),
    Break(
        "until enough keys have signed a number of a channel, the one before it counts",
        "remote/records/channels.py",
        "    found = _newest_trusted(cache, found, trust)\n",
        "",
        "tests/remote/records/test_channels.py",
    ),
    Break(
        "a builder adds its signature only to what a key that it knows has signed",
        "remote/records/channels.py",
        "    before = signer.sound(attempt(lambda: cache.channel(name, signer.known))[0])\n",
        "    before = cache.channel(name, signer.known)\n",
        "tests/remote/records/test_channels.py -k nothing_is_signed",
    ),
    Break(
        "a wrong signature in one cache hides none in another",
        "remote/sync/substitute.py",
        "replace(found, signatures=(*other.signatures, *found.signatures))",
        "other",
        "tests/remote/records/test_channels.py -k hides_none",
    ),
    Break(
        "the kind of an object is read off its tree",
        "store/store.py",
        "kind=kind_in_tree(staged, manifest.outline) or kind,",
        "kind=kind,",
        "tests/remote/records/test_trusted_facts.py",
    ),
    Break(
        "a wrong kind in a store is put right by making its index anew",
        "store/health/reindex.py",
        "kind=kind_in_tree(layout.object(path), manifest.outline) or info.kind",
        "kind=info.kind",
        "tests/remote/records/test_trusted_facts.py -k mended",
    ),
    Break(
        "a record says nothing of an object that a store itself writes",
        "remote/sync/fetch.py",
        "for key, value in record.metadata.items() if key not in OWN_KEYS",
        "for key, value in record.metadata.items()",
        "tests/remote/records/test_trusted_facts.py -k signed_metadata",
    ),
    Break(
        "a number of a channel that nobody signed lets a collection delete nothing",
        "remote/maintenance/plan.py",
        "    signed = [one for one in records if not trust.keys or trust.trusts(one)]\n",
        "    signed = records\n",
        "tests/remote/maintenance/test_collect.py -k displaces",
    ),
    Break(
        "a manifest is a record only under the tag that it names",
        "remote/registry_cache/repository.py",
        "        if manifest.annotations.get(TAG) != tag or len(manifest.layers) != 1:\n",
        "        if len(manifest.layers) != 1:\n",
        "tests/remote/registry_cache/test_repository.py -k another_tag",
    ),
    Break(
        "a push deletes no manifest that was put under the tag of another",
        "remote/registry_cache/repository.py",
        "        if before is not None and _names(before, tag):\n",
        "        if before is not None:\n",
        "tests/remote/registry_cache/test_repository.py -k swapped",
    ),
    Break(
        "the manifest of a record keeps its archive from the collection of the registry",
        "remote/registry_cache/repository.py",
        "        if (stored.layer.digest, stored.layer.size_bytes) != (wanted.digest, wanted.size_bytes):\n",
        "        if False:\n",
        "tests/remote/registry_cache/test_repository.py -k registry_would_collect",
    ),
    Break(
        "the claim of a killed publisher stops nobody for ever",
        "remote/registry_cache/channels.py",
        "                taken.add(number)\n",
        "                pass\n",
        "tests/remote/registry_cache/test_channels.py -k passed_over",
    ),
    Break(
        "a builder vouches for no archive that it did not read",
        "remote/registry_cache/writer.py",
        "        if own.fingerprint != found.fingerprint:\n            return False\n",
        "",
        "tests/remote/registry_cache/test_repository.py -k not_read",
    ),
    Break(
        "a layer of an image is believed only with its own record",
        "remote/registry_cache/image.py",
        "        if layer_of(record).digest != layer.digest:\n",
        "        if False:\n",
        "tests/remote/registry_cache/test_image.py -k another_layer",
    ),
)


def is_noticed(one: Break, work: Path) -> bool:
    """Whether the tests fail, and do not just break off, with this break in a copy of the code."""
    for part in _PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, work / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, work / part)
    file = work / "vstore" / one.file
    text = file.read_text("utf-8")
    assert text.count(one.right) == 1, one
    file.write_text(text.replace(one.right, one.wrong), "utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-n", "2", "-m", FAST]
    command += ["--as-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    command += one.tests.split()
    environment = {**os.environ, "PYTHONPATH": str(work)}
    try:
        done = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, timeout=_SECONDS)
    except subprocess.TimeoutExpired:
        return True  # it hangs: noticed, in its way
    *_, last = done.stdout.splitlines() or [""]
    failed = re.match(r"\d+ failed", last) is not None
    assert failed or done.returncode == 0, f"{one.promise}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return failed
