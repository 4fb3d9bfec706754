"""What a run was started with, in words: what must be the same for it to be continued."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dspy

from pld_dspy.clustering.search import check_settings
from pld_dspy.errors import PLDError
from pld_dspy.examples import fingerprint
from pld_dspy.rules import MicroRule
from pld_dspy.settings import worded
from pld_dspy.student.evaluation import Metric, program_fingerprint

if TYPE_CHECKING:
    from sklearn.base import ClusterMixin

UNTOLD = ("storage", "study_name")  # of the clustering's settings


def described_data(
    student: dspy.Module, trainset: Sequence[dspy.Example], valset: Sequence[dspy.Example]
) -> dict[str, Any]:
    """The program and the examples: names, sizes and hashes."""
    data = hashlib.sha256("".join(fingerprint(example) for example in (*trainset, *valset)).encode()).hexdigest()
    return {
        "program": type(student).__name__,
        "instructions": program_fingerprint(student),
        "data": data[:12],
        "n": {"train": len(trainset), "val": len(valset)},
    }


def described_metric(metric: Metric) -> str:
    """A metric by its name and a hash of its code, where it has some, as two lambdas have the same name."""
    name = getattr(metric, "__qualname__", type(metric).__name__)
    code = getattr(metric, "__code__", None)
    if code is None:
        return name
    consts = [const for const in code.co_consts if not hasattr(const, "co_code")]  # whose text holds an address
    return f"{name} {hashlib.sha256(repr((code.co_code, code.co_names, consts)).encode()).hexdigest()[:12]}"


def described_rules(rules: Sequence[MicroRule]) -> str:
    """People's rules: how many, and a hash."""
    content = "".join(rule.model_dump_json() for rule in rules)
    return f"{len(rules)} {hashlib.sha256(content.encode()).hexdigest()[:12]}" if rules else "none"


def clustering_settings(
    clustering: "Mapping[str, Any] | ClusterMixin | None", seed: int
) -> "Mapping[str, Any] | ClusterMixin":
    """The search's settings with the seed, or the estimator that is used instead of the search.

    Raises:
        PLDError: it is neither, or the search does not take the settings.
    """
    if clustering is None or isinstance(clustering, Mapping):
        settings = {"seed": seed, **(clustering or {})}
        check_settings(settings)
        return settings
    if isinstance(clustering, type) or not hasattr(clustering, "fit_predict"):
        raise PLDError(f"{clustering!r} is neither settings of the clustering nor an estimator with fit_predict.")
    return clustering


def described_clustering(clustering: "Mapping[str, Any] | ClusterMixin | None") -> str:
    """The clustering in words; where its study is stored does not change it, and may hold a password."""
    if clustering is None or isinstance(clustering, Mapping):
        told = [f"{name}={worded(value)}" for name, value in sorted((clustering or {}).items()) if name not in UNTOLD]
        return " ".join(["search", *told])
    return worded(repr(clustering))
