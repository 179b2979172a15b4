"""Everything docs/internals/reliability.md counts, run at length; prints what was done as one JSON document.

Usage: scripts/reliability/run [SECTION …], and options: see --help. Sections: points (each step, each time it is
reached, killed), calls (each changing system call of a store's life killed or failed), kills (real commands at random
instants), power, crowd, input (spoilt bytes), fuzz (the same with coverage guidance), caches (spoilt caches and bundles
against pull, substitution and unpack), registries (the same of manifests and blobs in a registry), damage (spoilt
indexes), places (what is there already where a command writes), mistakes (random calls), nix, members (tricks of a
hostile member of a shared store), strangers (hostile requests to `vstore serve`), cluster (workers and clients killed
while one worker lies), breaks (each promise broken on purpose, which a test must notice). An AssertionError says what
was not as promised.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from scripts.reliability.breaks import BREAKS, is_noticed
from scripts.reliability.crashes.clusters import Chaos, disturbed_cluster
from scripts.reliability.crashes.crowd import crowd
from scripts.reliability.crashes.kills import random_kills
from scripts.reliability.crashes.nix import big_tree, race_nix, race_vstore, why_no_nix
from scripts.reliability.crashes.overlay import overlaid, why_no_overlay
from scripts.reliability.crashes.power import cut_power
from scripts.reliability.crashes.sweep import (
    EXCHANGE_POINTS,
    MUTATING,
    OPTIMISE_POINTS,
    OVERLAY_POINTS,
    inject,
    journey,
    kill_at,
    kill_exchange_at,
    kill_optimise_at,
    recover,
)
from scripts.reliability.fuzz import fuzz, why_no_fuzzing
from scripts.reliability.hostile.damage import spoil_indexes
from scripts.reliability.hostile.hostile_member import TRICKS, member, play
from scripts.reliability.hostile.mistakes import random_mistakes
from scripts.reliability.hostile.places import random_places
from scripts.reliability.hostile.readers import READERS, try_reader
from scripts.reliability.hostile.spoil import spoil
from scripts.reliability.hostile.spoilt import run as spoil_caches
from scripts.reliability.hostile.spoilt_registry import run as spoil_registries
from scripts.reliability.hostile.strangers import strangers
from scripts.testing.world import World, make_world
from vstore.fs.faults import Point

Counts = dict[str, object]


def points(work: Path, _: argparse.Namespace) -> Counts:
    killed = {}
    reason = why_no_overlay(work / "tried")
    for point in Point:
        if point in OVERLAY_POINTS and reason is not None:
            print(f"{point} is left out: {reason}", file=sys.stderr)
            continue
        number = 1
        while _kill(work, point, number):
            number += 1
        killed[str(point)] = number - 1
    assert all(killed.values()), killed
    return {"points": len(killed), "kills": sum(killed.values())}


def _kill(work: Path, point: Point, number: int) -> bool:
    token = f"{point}-{number}"
    if point in EXCHANGE_POINTS:
        return kill_exchange_at(work / "exchange", f"file://{work}/exchange/cache", point, number, token)
    if point in OPTIMISE_POINTS:
        return kill_optimise_at(work / "optimised", point, number)
    if point in OVERLAY_POINTS:
        assert journey(work / token / "low" / "root", "low").code == 0
        with overlaid(work / token / "low", work / token / "over") as merged:
            return kill_at(merged / "root", point, number, token)
    return kill_at(work / "root", point, number, token)


def calls(work: Path, _: argparse.Namespace) -> Counts:
    root, counts = work / "root", dict.fromkeys(("error=EIO", "error=ENOSPC", "signal=KILL"), 0)
    assert journey(root, "first").code == 0
    for what in counts:
        for call in MUTATING:
            number = 1
            while True:
                token = f"{what}-{call}-{number}"
                ended, struck = inject(root, call, what, number, token)
                if not struck:
                    break
                told = call == "write" or "Traceback" not in ended.error  # of a broken terminal Python itself complains
                assert told and ended.code in (0, 1, -9, 120, 137), (token, ended)
                recover(root, token)
                counts[what] += 1
                number += 1
    return {**counts}


def kills(work: Path, options: argparse.Namespace) -> Counts:
    world = _world(work)
    return {**random_kills(world, kills=options.kills, seed=options.seed)}


def power(work: Path, options: argparse.Namespace) -> Counts:
    return {**cut_power(work, lives=8, cuts=options.cuts, seed=options.seed)}


def crowded(work: Path, _: argparse.Namespace) -> Counts:
    return {**crowd(_world(work), rounds=6, realisers=3)}


def hostile(_: Path, options: argparse.Namespace) -> Counts:
    chance, counts = random.Random(options.seed), {"inputs": 0, "taken": 0}
    for reader in READERS.values():
        samples = [*reader.samples(), *reader.hostile()]
        for _number in range(options.runs):
            counts["inputs"] += 1
            counts["taken"] += try_reader(reader, spoil(chance.choice(samples), chance))
    return {"readers": len(READERS), **counts}


def fuzzed(work: Path, options: argparse.Namespace) -> Counts:
    """Each reader with coverage guidance, one after another."""
    if (reason := why_no_fuzzing()) is not None:
        print(f"fuzz is left out: {reason}", file=sys.stderr)
        return {}
    counts: Counts = {}
    for name in options.reader or READERS:
        corpus = (options.corpus or work) / name.replace(" ", "-")
        counts[name] = fuzz(name, seed=options.seed, seconds=options.seconds, corpus=corpus)
        print(f"{name}: {counts[name]}", file=sys.stderr, flush=True)
    return counts


def caches(work: Path, options: argparse.Namespace) -> Counts:
    return {**spoil_caches(options.caches, options.seed, work)}


def places(work: Path, options: argparse.Namespace) -> Counts:
    tried = list(random_places(_world(work), work / "cases", count=options.places, seed=options.seed))
    return {"cases": len(tried), "refused": sum(one.refused for one in tried)}


def registries(work: Path, options: argparse.Namespace) -> Counts:
    return {**spoil_registries(options.registries, options.seed, work)}


def mistakes(work: Path, options: argparse.Namespace) -> Counts:
    codes = Counter(ended.code for _, ended in random_mistakes(work, count=options.mistakes, seed=options.seed))
    return {"calls": codes.total(), "exit codes": dict(sorted(codes.items()))}


def damage(work: Path, options: argparse.Namespace) -> Counts:
    """Indexes spoilt at random, asked by real commands, made anew."""
    return {"indexes": options.indexes, **spoil_indexes(work, count=options.indexes, seed=options.seed)}


def cluster(work: Path, options: argparse.Namespace) -> Counts:
    return disturbed_cluster(work, Chaos(seed=options.seed))


def nix(work: Path, _: argparse.Namespace) -> Counts:
    """A collector during a large add, at the same delays for both."""
    tree = big_tree(work / "tree")
    racers = {"vstore": race_vstore} | ({} if why_no_nix() else {"nix": race_nix})
    counts: Counts = {}
    for name, race in racers.items():
        raced = [race(work / f"{name}-{delay}", tree, delay / 1000) for delay in range(20, 500, 24)]
        lied, failed = sum(one.lied for one in raced), sum(one.exit_code != 0 for one in raced)
        counts[name] = {"adds": len(raced), "truncated but registered": lied, "failed": failed}
    return counts


def breaks(work: Path, _: argparse.Namespace) -> Counts:
    unnoticed = []
    for one in BREAKS:
        with tempfile.TemporaryDirectory(dir=work) as copy:
            seen = is_noticed(one, Path(copy))
        print(f"{'noticed' if seen else 'NOT NOTICED'}: {one.promise}, broken", file=sys.stderr, flush=True)
        unnoticed += [] if seen else [one.promise]
    assert not unnoticed, unnoticed
    return {"breaks": len(BREAKS)}


def members(_: Path, __: argparse.Namespace) -> Counts:
    """Every trick of a hostile member of a shared store, against each of root's commands."""
    codes: dict[str, int] = {}
    with member():
        for name in TRICKS:
            for code, count in play(name).items():
                codes[code] = codes.get(code, 0) + count
    return {"tricks": len(TRICKS), "commands by exit code": codes}


def asked(work: Path, options: argparse.Namespace) -> Counts:
    return {**strangers(work, requests=options.requests, seed=options.seed)}


SECTIONS: dict[str, Callable[[Path, argparse.Namespace], Counts]] = {
    "points": points,
    "calls": calls,
    "kills": kills,
    "power": power,
    "crowd": crowded,
    "input": hostile,
    "fuzz": fuzzed,
    "caches": caches,
    "registries": registries,
    "places": places,
    "mistakes": mistakes,
    "damage": damage,
    "nix": nix,
    "members": members,
    "strangers": asked,
    "cluster": cluster,
    "breaks": breaks,
}


def _world(work: Path) -> World:
    world = make_world(work / "world")
    world.realise()
    return world


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", metavar="SECTION")
    parser.add_argument("--kills", type=int, default=400)
    parser.add_argument("--cuts", type=int, default=300)
    parser.add_argument("--runs", type=int, default=5000, help="spoilt inputs for each reader")
    parser.add_argument("--places", type=int, default=1000, help="(command, place, kind of file there) cases")
    parser.add_argument("--mistakes", type=int, default=3000, help="random calls")
    parser.add_argument("--indexes", type=int, default=500, help="indexes to spoil")
    parser.add_argument("--caches", type=int, default=10_000, help="caches and bundles to spoil")
    parser.add_argument("--registries", type=int, default=10_000, help="manifests and blobs of a registry to spoil")
    parser.add_argument("--reader", action="append", choices=READERS, help="of fuzz: only this (repeatable)")
    parser.add_argument("--seconds", type=int, default=60, help="of fuzz: for each reader")
    parser.add_argument("--corpus", type=Path, help="of fuzz: a folder that keeps what reaches new branches")
    parser.add_argument("--requests", type=int, default=8000, help="hostile requests to `vstore serve`")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if unknown := set(options.sections) - set(SECTIONS):
        parser.error(f"no such section: {', '.join(unknown)}")
    document: dict[str, Counts] = {}
    for name in options.sections or SECTIONS:
        started = time.monotonic()
        with tempfile.TemporaryDirectory(prefix=f"reliability-{name}-") as work:
            document[name] = SECTIONS[name](Path(work), options)
        document[name]["seconds"] = round(time.monotonic() - started)
        print(f"{name}: {document[name]}", file=sys.stderr, flush=True)
    print(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
