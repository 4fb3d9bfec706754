"""The parts continuum, speed and scale of benchmarks/clustering.py: points drawn at random."""

import logging
import math
import multiprocessing
import resource
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from clustering_quality import ami, table, worded
from sklearn.cluster import DBSCAN

from pld_dspy.clustering import search_clusters
from pld_dspy.clustering.points import points_of, reduced

GROUPS = 150
COSINE = 0.42  # of two points of a group after centring, as of two solutions of a skill: the part quality says it
TRIALS = 50


class Drawn(NamedTuple):
    """Points and the group of each."""

    vectors: np.ndarray
    groups: np.ndarray


def cloud(n: int, d: int = 384, seed: int = 0) -> Drawn:
    """An isotropic Gaussian around a common component of the same length: no groups."""
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((n, d), dtype=np.float32)
    vectors += rng.standard_normal(d, dtype=np.float32)
    return Drawn(vectors, np.zeros(n, dtype=int))


def mixture(n: int, d: int = 384, seed: int = 0) -> Drawn:
    """Gaussian groups of uneven sizes, as spread as real solutions, around a common component."""
    rng = np.random.default_rng(seed)
    groups = rng.choice(GROUPS, n, p=rng.dirichlet(np.ones(GROUPS)))
    centres = rng.standard_normal((GROUPS, d), dtype=np.float32)
    vectors = rng.standard_normal((n, d), dtype=np.float32)
    vectors *= math.sqrt(1 / COSINE - 1)  # then a centre's share of a point's squared length is COSINE
    vectors += rng.standard_normal(d, dtype=np.float32)
    for group, centre in enumerate(centres):  # one by one: no second array of this size
        vectors[groups == group] += centre
    return Drawn(vectors, groups)


KINDS = {"mixture": mixture, "cloud": cloud}


def memory() -> float:
    """The most memory that this process has had so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def continuum(quick: bool) -> Iterator[Any]:
    """What the search says of clouds without groups."""
    shown = table("Clouds", "n", "d", "clusters", "biggest", "smallest", "noise", "weak", "structure", "setting", "s")
    sizes = ((500, 384), (2_000, 384), (2_000, 32))
    if not quick:
        sizes = ((500, 384), (5_000, 384), (20_000, 384), (5_000, 32))
    for n, d in sizes:
        vectors = cloud(n, d).vectors
        start = time.perf_counter()
        found = search_clusters(vectors, TRIALS)
        took = time.perf_counter() - start
        shares = np.bincount(found.labels[found.labels >= 0], minlength=1) / n
        shown.add_row(
            f"{n:,}",
            str(d),
            str(found.labels.max() + 1),
            f"{shares.max():.2%}",
            f"{shares.min():.2%}",
            f"{(found.labels < 0).mean():.1%}",
            "yes" if found.weak else "no",
            f"{found.structure:.3f}",
            worded(found.params),
            f"{took:.1f}",
        )
    yield shown


def speed(quick: bool) -> Iterator[Any]:
    """A whole search against as many fits of plain DBSCAN, on the same centred vectors and over the same radii."""
    n, fits = 20_000, 5 if quick else TRIALS
    shown = table(f"n = {n:,}, d = 384, {TRIALS} trials", "", "search, s", "DBSCAN, s", "times", "AMI", "best DBSCAN's")
    for name, draw in KINDS.items():
        vectors, groups = draw(n)
        start = time.perf_counter()
        found = search_clusters(vectors, TRIALS)
        searched = time.perf_counter() - start
        radius = points_of(vectors, "centre", 0).radius
        centred = reduced(vectors, "centre", 0)
        plain, best = 0.0, 0.0
        for number, eps in enumerate(np.linspace(0.01 * radius, radius, fits)):
            start = time.perf_counter()
            labels = DBSCAN(eps=eps, min_samples=2 + number % 9, metric="cosine").fit_predict(centred)
            plain += time.perf_counter() - start
            best = max(best, ami(labels, groups)) if name == "mixture" else best
        plain *= TRIALS / fits
        agreement = (f"{ami(found.labels, groups):.3f}", f"{best:.3f}") if name == "mixture" else ("", "")
        shown.add_row(name, f"{searched:.1f}", f"{plain:.1f}", f"{plain / searched:.1f}", *agreement)
    yield shown
    if quick:
        yield f"--quick: only {fits} fits of DBSCAN were run, and their time was multiplied by {TRIALS // fits}."


def one_size(name: str, n: int) -> tuple[float, list[str]]:
    """A search in a process of its own: its seconds, and all its figures in words."""
    logging.getLogger("pld_dspy").setLevel(logging.ERROR)
    vectors, groups = KINDS[name](n)
    before = memory()
    start = time.perf_counter()
    found = search_clusters(vectors, TRIALS)
    took, most = time.perf_counter() - start, memory()
    agreement = f"{ami(found.labels, groups):.3f}" if name == "mixture" else ""
    clusters, biggest, noise = found.labels.max() + 1, found.quality.biggest, found.quality.noise
    row = [f"{took:.1f}", f"{before:,.0f}", f"{most:,.0f}", agreement, str(clusters), f"{biggest:.1%}", f"{noise:.1%}"]
    return took, row


def scale(quick: bool) -> Iterator[Any]:
    """Seconds and memory by n. The processes come from a fork server, so that what this one held does not count."""
    sizes = (2_000, 4_000, 8_000) if quick else (10_000, 20_000, 50_000, 100_000)
    title = f"d = 384, {TRIALS} trials; most memory so far"
    shown = table(title, "", "n", "s", "MB before", "MB after", "AMI", "clusters", "biggest", "noise")
    exponents = []
    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=1) as processes:
        for name in KINDS:
            seconds = []
            for n in sizes:
                took, row = processes.submit(one_size, name, n).result()
                seconds.append(took)
                shown.add_row(name, f"{n:,}", *row)
            exponent = np.polyfit(np.log(sizes), np.log(seconds), 1)[0]
            exponents.append(f"{name}: seconds grow as n^{exponent:.2f} from {sizes[0]:,} to {sizes[-1]:,}")
    yield shown
    yield "\n".join(exponents)
