"""Specs on a real cluster: one plan for two specs and platforms, what is fetched, channels, and the fallback."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from scripts.testing.clusters import TestCluster, give_keys, set_trust
from scripts.testing.platforms import HOST, Platforms, make_platforms
from scripts.testing.small_layers import Listening
from tests.cluster.conftest import WORKERS
from tests.cluster.processes import KEYS
from vstore.api.caches import pull
from vstore.api.cluster import ClusterOptions, ClusterRealised, Fetch, SchedulerAddress, realise_on
from vstore.api.realising import Request
from vstore.cluster.client.realise import channel_names
from vstore.errors import ClusterError, StoreError, UsageError
from vstore.objects import Kind
from vstore.realise.model import Origin
from vstore.remote import open_cache
from vstore.store import Store
from vstore.target import Target

OTHER = Target.LINUX_AARCH64 if HOST != Target.LINUX_AARCH64 else Target.WIN_AMD64


@pytest.fixture(scope="module")
def platforms(tmp_path_factory: pytest.TempPathFactory) -> Platforms:
    """Two specs for this platform and another one, whose layers are the same but for the module of the application."""
    world = make_platforms(tmp_path_factory.mktemp("platforms") / "w", (OTHER,))
    text = world.spec.read_text()
    world.spec.write_text(text.replace(f'platforms = ["{OTHER}"]', f'platforms = ["{HOST}", "{OTHER}"]'))
    second = world.folder / "second"
    shutil.copytree(world.spec.parent, second)
    (second / "hello.py").write_text("print('second')\n")
    return world


def run_on(
    cluster: TestCluster,
    world: Platforms,
    root: Path,
    *specs: Path,
    options: ClusterOptions | None = None,
    targets: tuple[Target, ...] = (HOST, OTHER),
) -> ClusterRealised:
    """Realise specs with the store at `root`, by default for both platforms."""
    requests = [
        Request(spec=spec, target=target, environment=world.environment(), local_wheels=(world.wheels,), index=False)
        for spec in specs
        for target in targets
    ]
    options = options or ClusterOptions(cache=str(cluster.cache), fetch=Fetch.ALL)
    with Store.open(root) as store:
        return realise_on(store, requests, cluster.address, options, reporter=Listening())


@pytest.mark.slow
def test_two_specs_and_platforms_are_one_plan(cluster: TestCluster, platforms: Platforms) -> None:
    root, specs = cluster.root("first-user"), [platforms.spec, platforms.folder / "second" / "spec.toml"]
    options = ClusterOptions(cache=str(cluster.cache), channel="{profile}-{platform}")
    done = run_on(cluster, platforms, root, *specs, options=options)
    assert [(one.target, one.generation is None) for one in done.stacks] == [(HOST, False), (OTHER, True)] * 2
    built = sorted(name for one in done.summary.workers for name in one.built)
    assert built.count("python") == built.count("framework-fast") == 2  # once for each platform
    assert built.count("app-hello") == 4
    assert done.summary.shared_bytes > 0 and done.summary.critical_path[0].name == "python"
    names = [f"{name}-{target}" for name in ("project", "second") for target in (HOST, OTHER)]
    assert [one.record.name for one in done.channels] == names
    with Store.open(root) as store:
        stacks = {info.path for info in store.objects.all() if info.kind == Kind.STACK}
        assert {one.stack for one in done.stacks if one.target == HOST} <= stacks
        assert stacks.isdisjoint(one.stack for one in done.stacks if one.target == OTHER)

    again = run_on(cluster, platforms, root, *specs)
    assert not again.summary.workers and again.summary.cached == again.summary.nodes
    assert [one.stack for one in again.stacks] == [one.stack for one in done.stacks]
    assert all(one.generation for one in again.stacks)
    assert all(layer.origin == Origin.PRESENT for one in again.stacks for layer in one.layers)
    local = platforms.realise("--platform", str(HOST), "--platform", str(OTHER))
    assert [one["stack"] for one in local] == [str(one.stack) for one in done.stacks[:2]]  # the same bytes as here


@pytest.mark.slow
def test_this_machine_builds_what_no_worker_could(cluster: TestCluster, platforms: Platforms) -> None:
    spec = platforms.folder / "third" / "spec.toml"
    shutil.copytree(platforms.spec.parent, spec.parent)
    (spec.parent / "hello.py").write_text("print('third')\n")
    full = cluster.control / "app-hello.full"
    full.touch()
    try:
        with pytest.raises(StoreError, match="app-hello: no space left"):
            run_on(cluster, platforms, cluster.root("second-user"), spec)
        options = ClusterOptions(cache=str(cluster.cache), local_fallback=True, channel="{profile}-{platform}")
        done = run_on(cluster, platforms, cluster.root("second-user"), spec, options=options)
    finally:
        full.unlink()
    assert [one.generation is None for one in done.stacks] == [False, True] and len(done.channels) == 2
    assert run_on(cluster, platforms, cluster.root("second-user"), spec).summary.workers == ()


@pytest.mark.slow
@pytest.mark.usefixtures("two_must_agree")
def test_a_channel_that_two_keys_must_sign_moves_when_two_workers_agree(
    cluster: TestCluster, platforms: Platforms
) -> None:
    """Not when they disagree and nobody decides; and machines that require two keys follow it."""
    root, cache, spec = (
        cluster.root("first-user"),
        open_cache(str(cluster.cache)),
        platforms.folder / "fourth/spec.toml",
    )
    shutil.copytree(platforms.spec.parent, spec.parent)
    (spec.parent / "hello.py").write_text("print('fourth')\n")
    options = ClusterOptions(cache=str(cluster.cache), fetch=Fetch.NONE, channel="agreed")

    def realise() -> ClusterRealised:
        return run_on(cluster, platforms, root, spec, options=options, targets=(HOST,))

    set_trust(root, [one for one in cluster.keys if one.startswith(("one:", "two:"))], require=2)
    (cluster.control / "two.lies").touch()
    try:
        with pytest.raises(ClusterError, match="the workers disagree about") as caught:
            realise()
    finally:
        (cluster.control / "two.lies").unlink()
    assert ["built by worker one on" in str(caught.value), "built by worker two on" in str(caught.value)] == [True] * 2
    assert "agreed" not in cache.channel_names()

    set_trust(root, [one for one in cluster.keys if not one.startswith("first-user:")], require=2)
    (moved,) = realise().channels
    signed_by = {one.key for one in moved.record.signatures}
    assert moved.record.number == 1 and len(signed_by & set(WORKERS)) == 2
    with Store.open(cluster.root("second-user")) as store:
        assert store.config.require == 2
        pulled = pull(store, cache, ["agreed"])
        assert pulled.paths == (moved.record.path,) and pulled.generation is not None
    again = realise()
    assert not again.summary.workers and not again.channels[0].changed


@pytest.mark.slow
def test_only_whole_stacks_are_realised_on_a_cluster(cluster: TestCluster, platforms: Platforms) -> None:
    request = Request(spec=platforms.spec, dry_run=True)
    with Store.open(cluster.root("first-user")) as store, pytest.raises(UsageError, match="whole stacks"):
        realise_on(store, [request], cluster.address, ClusterOptions(cache=str(cluster.cache)))


def test_one_machine_alone_does_not_fall_back_where_two_must_agree(tmp_path: Path) -> None:
    give_keys([tmp_path / "store"])
    set_trust(tmp_path / "store", [str(KEYS["one"].public)], require=2)
    options = ClusterOptions(cache=str(tmp_path / "cache"), local_fallback=True)
    request, address = Request(spec=tmp_path / "missing.toml"), SchedulerAddress(url="tcp://127.0.0.1:9")
    with Store.open(tmp_path / "store") as store, pytest.raises(UsageError, match="2 builders must agree"):
        realise_on(store, [request], address, options)


def test_each_stack_has_a_channel_of_its_own() -> None:
    stacks = [("web", HOST), ("jobs", HOST), ("web", OTHER)]
    assert channel_names(None, stacks) == [None] * 3
    assert channel_names("{profile}-{platform}", stacks) == [f"web-{HOST}", f"jobs-{HOST}", f"web-{OTHER}"]
    assert channel_names("stable", stacks[:1]) == ["stable"]
    with pytest.raises(UsageError, match="would point to 3 stacks"):
        channel_names("{profile}", stacks)
    with pytest.raises(UsageError, match="not a channel name"):
        channel_names("a/b", stacks[:1])
