"""The quality part of benchmarks/clustering.py: real texts with known groups, which no search sees."""

import json
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import optuna
from joblib import Parallel, delayed
from rich.table import Table
from sklearn.cluster import DBSCAN, HDBSCAN, AgglomerativeClustering, KMeans
from sklearn.metrics import adjusted_mutual_info_score
from threadpoolctl import threadpool_limits

from pld_dspy.clustering import search_clusters
from pld_dspy.clustering.algorithms import ALGORITHMS
from pld_dspy.clustering.noise import second_look
from pld_dspy.clustering.points import Points, points_of, reduced
from pld_dspy.clustering.quality import measure, tidy
from pld_dspy.clustering.search import MAX_CLUSTERS
from pld_dspy.models.embedders import embed
from pld_dspy.models.sentence_embedder import SentenceEmbedder

GAP = 0.02  # how far the search may stay below the best setting that there is
STEPS = {"average": 10**9, "dbscan": 60, "hdbscan": 10**9, "kmeans": 40}  # values of a parameter in the grid, at most
BASELINES = {
    "DBSCAN(0.4, 6)": DBSCAN(eps=0.4, min_samples=6, metric="cosine"),
    "DBSCAN(0.5, 2)": DBSCAN(eps=0.5, min_samples=2, metric="cosine"),
    "HDBSCAN()": HDBSCAN(copy=True),
    "KMeans(17)": KMeans(17, random_state=0),
    "average linkage at 0.6": AgglomerativeClustering(
        n_clusters=None, distance_threshold=0.6, metric="cosine", linkage="average"
    ),
}


class Texts(NamedTuple):
    """Embedded texts and the skill of each."""

    name: str
    embeddings: np.ndarray
    skills: np.ndarray


class Best(NamedTuple):
    """The setting of an algorithm that agrees best with the skills."""

    ami: float
    params: dict[str, Any]
    labels: np.ndarray


class Result(NamedTuple):
    """What a search found and what it could have found; a list has a value for each seed."""

    texts: Texts
    found: list
    amis: list[float]
    seconds: list[float]
    best: dict[str, Best]

    @property
    def top(self) -> str:
        """The algorithm whose best setting is the best of all."""
        return max(self.best, key=lambda name: self.best[name].ami)

    @property
    def gap(self) -> float:
        return self.best[self.top].ami - float(np.median(self.amis))


def ami(labels: np.ndarray, skills: np.ndarray) -> float:
    """Adjusted mutual information; what is noise is a cluster of its own."""
    alone = np.where(labels < 0, labels.max() + 1 + np.arange(len(labels)), labels)
    return float(adjusted_mutual_info_score(skills, alone))


def grid(name: str, points: Points, steps: int) -> Iterator[dict[str, Any]]:
    """Settings all over an algorithm's part of the search space: all values of a parameter, or so many of them."""
    trial = optuna.create_study().ask()
    ALGORITHMS[name].suggest(trial, points, MAX_CLUSTERS)

    def values(space: optuna.distributions.BaseDistribution) -> list:
        if isinstance(space, optuna.distributions.CategoricalDistribution):
            return list(space.choices)
        if isinstance(space, optuna.distributions.FloatDistribution):
            return np.linspace(space.low, space.high, steps).tolist()
        if space.high - space.low < steps:
            return list(range(space.low, space.high + 1))
        return np.unique(np.geomspace(space.low, space.high, steps).round().astype(int)).tolist()

    for setting in product(*map(values, trial.distributions.values())):
        yield dict(zip(trial.distributions, setting, strict=True))


def best_settings(texts: Texts, quick: bool) -> dict[str, Best]:
    """The best that any setting of the search space reaches, by algorithm: the skills are looked at."""
    points = points_of(texts.embeddings, "centre", 0)

    def tried(name: str, setting: dict[str, Any]) -> Best:
        params = ALGORITHMS[name].suggest(optuna.trial.FixedTrial(setting), points, MAX_CLUSTERS)
        labels = tidy(ALGORITHMS[name].labels(points, params, 0), points.weights)
        labels = points.spread(second_look(points, labels))
        return Best(ami(labels, texts.skills), params, labels)

    def best(name: str) -> Best:
        settings = grid(name, points, min(STEPS[name], 8) if quick else STEPS[name])
        return max((tried(name, setting) for setting in settings), key=lambda one: one.ami)

    return {name: best(name) for name in ALGORITHMS}


def compared(texts: Texts, seeds: int, quick: bool) -> Result:
    """Search with some seeds, and look for the best that there is."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    found, amis, seconds = [], [], []
    for seed in range(seeds):
        start = time.perf_counter()
        found.append(search_clusters(texts.embeddings, seed=seed))
        seconds.append(time.perf_counter() - start)
        amis.append(ami(found[-1].labels, texts.skills))
    with threadpool_limits(1):  # as the search does it
        return Result(texts, found, amis, seconds, best_settings(texts, quick))


def worded(params: dict[str, Any]) -> str:
    """A setting in few characters, as "dbscan 0.61 2"."""
    return " ".join(f"{value:.2f}" if isinstance(value, float) else str(value) for value in params.values()) or "alone"


def table(title: str, *columns: str) -> Table:
    made = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for number, column in enumerate(columns):
        made.add_column(column, justify="right" if number else "left", no_wrap=True)
    return made


def in_full(result: Result) -> Table:
    """All figures of one set of texts: the search, the best that there is, and what others do."""
    texts = result.texts
    title = f"{texts.name}: n = {len(texts.skills):,}, {len(set(texts.skills))} skills"
    shown = table(title, "", "AMI", "clusters", "biggest", "noise", "silhouette", "s")
    ones = np.ones(len(texts.skills), dtype=int)
    centred = Points(reduced(texts.embeddings, "centre", 0), ones, np.arange(len(ones)))

    def row(name: str, labels: np.ndarray, seconds: float | None = None) -> list[float]:
        labels = tidy(labels, ones)
        quality = measure(centred, labels, len(labels))
        figures = [ami(labels, texts.skills), quality.clusters, quality.biggest, quality.noise, quality.silhouette]
        add(name, [*figures, seconds])
        return figures

    def add(name: str, figures: list[float | None]) -> None:
        agreement, clusters, biggest, noise, silhouette, seconds = figures
        took = "" if seconds is None else f"{seconds:.1f}"
        shown.add_row(
            name, f"{agreement:.3f}", f"{clusters:.0f}", f"{biggest:.1%}", f"{noise:.1%}", f"{silhouette:.3f}", took
        )

    rows = [
        [
            *row(f"search, seed {seed}: {worded(found.params)}{' (weak)' if found.weak else ''}", found.labels, took),
            took,
        ]
        for seed, (found, took) in enumerate(zip(result.found, result.seconds, strict=True))
    ]
    add("search, median", [float(np.median(column)) for column in zip(*rows, strict=True)])
    shown.add_section()
    for name, best in result.best.items():
        row(f"best with labels: {worded({'': name, **best.params})}", best.labels)
    shown.add_row("gap: best with labels - median", f"{result.gap:+.3f}")
    shown.add_section()
    for name, estimator in BASELINES.items():
        start = time.perf_counter()
        labels = estimator.fit_predict(texts.embeddings)
        row(f"scikit-learn: {name}", labels, time.perf_counter() - start)
    return shown


def in_short(title: str, results: list[Result]) -> Table:
    """A row for each set of texts."""
    shown = table(title, "", "n", "skills", "search", "best", "gap", "the search's setting", "the best setting")
    for result in results:
        texts, best = result.texts, result.best[result.top]
        shown.add_row(
            texts.name,
            str(len(texts.skills)),
            str(len(set(texts.skills))),
            f"{np.median(result.amis):.3f}",
            f"{best.ami:.3f}",
            f"{result.gap:+.3f}",
            worded(result.found[0].params) + (" weak" if result.found[0].weak else ""),
            worded({"": result.top, **best.params}),
        )
    amis, gaps = [float(np.median(result.amis)) for result in results], [result.gap for result in results]
    tops = [result.best[result.top].ami for result in results]
    shown.add_section()
    shown.add_row("median", "", "", *(f"{np.median(column):.3f}" for column in (amis, tops)), f"{np.median(gaps):+.3f}")
    shown.add_row("worst", "", "", f"{min(amis):.3f}", f"{min(tops):.3f}", f"{max(gaps):+.3f}")
    shown.add_row(f"share with gap <= {GAP}", "", "", "", "", f"{np.mean([gap <= GAP for gap in gaps]):.0%}")
    return shown


def samples(texts: Texts, number: int) -> list[Texts]:
    """Random halves of the skills, and random two thirds of the texts."""
    rng = np.random.default_rng(0)
    names = np.unique(texts.skills)
    made = []
    for kind in ("half of skills", "2/3 of texts"):
        for index in range(number):
            if kind == "half of skills":
                rows = np.flatnonzero(np.isin(texts.skills, rng.permutation(names)[: len(names) // 2]))
            else:
                rows = np.sort(rng.permutation(len(texts.skills))[: len(texts.skills) * 2 // 3])
            made.append(Texts(f"{kind} {index}", texts.embeddings[rows], texts.skills[rows]))
    return made


def read(folder: Path) -> list[Texts]:
    """The solutions, the questions, and the questions with their choices and hint, each with MiniLM's embeddings."""
    problems = json.loads((folder / "problems.json").read_text(encoding="utf-8")).values()
    problems = [problem for problem in problems if problem["skill"].strip()]
    solved = [problem for problem in problems if problem["solution"].strip()]
    asked = ["\n".join([one["question"], *one["choices"], one["hint"]]) for one in problems]
    embedder = SentenceEmbedder()

    def texts(name: str, some: list[str], of: list[dict]) -> Texts:
        return Texts(name, embed(some, embedder), np.array([problem["skill"] for problem in of]))

    return [
        texts("solutions", [problem["solution"] for problem in solved], solved),
        texts("questions", [problem["question"] for problem in problems], problems),
        texts("questions, choices, hint", asked, problems),
    ]


def alike(texts: Texts) -> float:
    """The mean cosine of two texts of the same skill, after centring."""
    vectors = reduced(texts.embeddings, "centre", 0)
    pairs = texts.skills[:, None] == texts.skills
    np.fill_diagonal(pairs, False)
    return float((vectors @ vectors.T)[pairs].mean())


def run(folder: Path, quick: bool) -> Iterator[Any]:
    """Yields what is to be printed."""
    solutions, *others = read(folder)
    yield f"Solutions: two of the same skill have a mean cosine of {alike(solutions):.2f} after centring."
    seeds = 2 if quick else 5
    yield in_full(compared(solutions, seeds, quick))
    jobs = Parallel(n_jobs=-1, return_as="generator")
    results = list(jobs(delayed(compared)(texts, 1, quick) for texts in samples(solutions, 2 if quick else 10)))
    half = len(results) // 2
    yield in_short("Half of the skills, AMI, one seed", results[:half])
    yield in_short("Two thirds of the solutions, AMI, one seed", results[half:])
    for texts in others:
        yield in_full(compared(texts, seeds, quick))
    if quick:
        yield "--quick: fewer seeds and samples, and so few settings looked at that a gap may be below zero."
