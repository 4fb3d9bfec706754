"""PLDTeleprompter: prompt-level distillation as a DSPy optimizer."""

import hashlib
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dspy
from dspy.teleprompt import Teleprompter

from pld_dspy.clustering import Embedder, tfidf
from pld_dspy.clustering.embedders import check, described_embedder
from pld_dspy.clustering.search import check_settings
from pld_dspy.clustering.sentences import SentenceEmbedder
from pld_dspy.errors import PLDError
from pld_dspy.evaluation import Metric, exact_match, program_fingerprint
from pld_dspy.examples import fingerprint, labelled_predictors
from pld_dspy.models import described
from pld_dspy.run import RunFolder
from pld_dspy.runner import BudgetSpent, Runner
from pld_dspy.session import Session
from pld_dspy.settings import worded
from pld_dspy.teacher import Teacher
from pld_dspy.usage import price

if TYPE_CHECKING:
    from sklearn.base import ClusterMixin


UNTOLD = ("storage", "study_name")  # of the clustering's settings


class PLDTeleprompter(Teleprompter):
    """Distil a teacher's reasoning about labelled examples into rules in a student's instructions.

    Source: Badhe & Shah, "Prompt-Level Distillation", arXiv:2602.21103.

    Args:
        metric: `metric(example, prediction)`; by default the student program's own `metric`, else exact match of its
            labelled output fields.
        teacher_lm: the model that writes the rules; by default the student's own.
        embedder: texts to vectors, for clustering; by default `SentenceEmbedder()` (all-MiniLM-L6-v2), and for the
            simulated teacher TF-IDF, which needs no model.
        clustering: arguments of `search_clusters`, as {"n_trials": 100, "storage": "sqlite:///study.db"}; or a
            scikit-learn estimator, whose clusters are taken as they are.
        num_candidates: clusterings whose rules are tried on the validation set, at most 3: the best of the search and
            the best with half and a quarter of its clusters; 1 leaves the choice to the search.
        max_rule_tokens: budget of a predictor's rules in the student's prompt; None for no limit.
        max_iterations: rounds of conflict resolution; 0 leaves it out.
        num_threads: model calls side by side; by default DSPy's setting.
        max_lm_calls: when so many calls have been made, the best program so far is returned. A run that was interrupted
            goes on with what was left of them; one that had ended has them anew.
        max_cost: the same, in US dollars by LiteLLM's prices.
        log_dir: the run folder; a run that was interrupted goes on from what it holds.
        display_progress: show progress bars on standard error.
        seed: of every draw.
    """

    def __init__(
        self,
        metric: Metric | None = None,
        teacher_lm: dspy.BaseLM | None = None,
        *,
        embedder: Embedder | None = None,
        clustering: "Mapping[str, Any] | ClusterMixin | None" = None,
        num_candidates: int = 3,
        max_rule_tokens: int | None = 2000,
        max_iterations: int = 3,
        num_threads: int | None = None,
        max_lm_calls: int | None = None,
        max_cost: float | None = None,
        log_dir: str | Path | None = None,
        display_progress: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.metric = metric
        self.teacher_lm = teacher_lm
        self.embedder = embedder
        self.clustering = clustering
        self.num_candidates = num_candidates
        self.max_rule_tokens = max_rule_tokens
        self.max_iterations = max_iterations
        self.num_threads = num_threads
        self.max_lm_calls = max_lm_calls
        self.max_cost = max_cost
        self.log_dir = log_dir
        self.display_progress = display_progress
        self.seed = seed

    def compile(
        self,
        student: dspy.Module,
        *,
        trainset: Sequence[dspy.Example] | None = None,
        teacher: Teacher | None = None,
        valset: Sequence[dspy.Example] | None = None,
    ) -> dspy.Module:
        """Compile a student.

        Args:
            student: any program with at least one `dspy.Predict`; it is not changed.
            trainset: labelled examples; by default the sample that the program declares with its method `sample`.
            teacher: asks the teacher's model; by default `Teacher()`.
            valset: labelled examples for the gate of conflict resolution; by default a third of `trainset`, set aside.

        Returns:
            A copy of the student with rules in its instructions, and with what was found out as `.pld`.

        Raises:
            PLDError: the data cannot be learned from, a model does not answer, the metric fails, the teacher writes
                nothing usable, or the log folder holds something else.
        """
        trainset, valset = self._data(student, trainset, valset)
        learners = list(labelled_predictors(student, trainset))
        clustering = _clustering_settings(self.clustering, self.seed)
        if self.num_candidates not in (1, 2, 3):
            raise PLDError(f"num_candidates is 1, 2 or 3, not {self.num_candidates!r}.")
        embedder = self._embedder(student)
        check(embedder)
        session = self._session(student, trainset, valset, teacher or Teacher(), embedder)
        try:
            session.validate("student", student, "Validating the student")
            micro_rules = session.extract(learners)
            session.cluster(micro_rules, embedder, clustering)
            session.unite(micro_rules, self.num_candidates)
            session.resolve(self.max_iterations, self.seed)
        except BudgetSpent:
            pass  # what there is so far is returned
        except BaseException as error:
            status = "stopped" if isinstance(error, KeyboardInterrupt) else f"failed: {error}"
            session.run.status(status, session.runner.usage())
            raise
        return session.finish()

    def _embedder(self, student: dspy.Module) -> Embedder:
        if self.embedder is not None:
            return self.embedder
        teacher = self.teacher_lm or _student_lm(student)
        return tfidf if teacher.model.startswith("rehearsal") else SentenceEmbedder()

    def _data(
        self, student: dspy.Module, trainset: Sequence[dspy.Example] | None, valset: Sequence[dspy.Example] | None
    ) -> tuple[list[dspy.Example], list[dspy.Example]]:
        if trainset is None:
            if not hasattr(student, "sample"):
                raise PLDError(f"{type(student).__name__} declares no sample: pass a trainset to compile().")
            sample = student.sample()
            trainset, valset = sample["train"], valset or sample["val"]
        if not trainset:
            raise PLDError("The training set is empty: pass at least one labelled example.")
        if valset is None:
            if len(trainset) < 3:
                raise PLDError(f"{len(trainset)} training examples are too few to set some aside: pass a valset.")
            shuffled = random.Random(self.seed).sample(list(trainset), len(trainset))
            third = len(shuffled) // 3
            trainset, valset = shuffled[third:], shuffled[:third]
        if not valset:
            raise PLDError(
                "The validation set is empty: pass at least one labelled example, or none to set some aside."
            )
        return list(trainset), list(valset)

    def _session(
        self,
        student: dspy.Module,
        trainset: Sequence[dspy.Example],
        valset: Sequence[dspy.Example],
        teacher: Teacher,
        embedder: Embedder,
    ) -> Session:
        student_lm = _student_lm(student)
        teacher_lm = self.teacher_lm or student_lm
        for lm in (student_lm, teacher_lm):
            if self.max_cost is not None and price(lm.model, 1, 1) is None:
                raise PLDError(f"LiteLLM knows no price of {lm.model}, so a cap on the cost cannot be kept.")
        configuration = {
            **self._configuration(student, trainset, valset),
            "student": described(student_lm),
            "teacher": described(teacher_lm),
            "teacher_prompts": program_fingerprint(teacher),
            "embedder": described_embedder(embedder),
        }
        run = RunFolder(self.log_dir, configuration)
        return Session(
            student=student,
            student_lm=student_lm,
            teacher=teacher,
            teacher_lm=teacher_lm,
            trainset=trainset,
            valset=valset,
            metric=self.metric or getattr(student, "metric", None) or exact_match(student),
            max_rule_tokens=self.max_rule_tokens,
            runner=Runner(
                self.num_threads,
                self.max_lm_calls,
                self.max_cost,
                self.display_progress,
                earlier=run.state.usage,
                ended=run.state.status in ("finished", "budget spent"),
            ),
            run=run,
        )

    def _configuration(
        self, student: dspy.Module, trainset: Sequence[dspy.Example], valset: Sequence[dspy.Example]
    ) -> dict[str, Any]:
        data = hashlib.sha256("".join(fingerprint(example) for example in (*trainset, *valset)).encode()).hexdigest()
        return {
            "program": type(student).__name__,
            "instructions": program_fingerprint(student),
            "data": data[:12],
            "n": {"train": len(trainset), "val": len(valset)},
            "clustering": _described(self.clustering),
            "num_candidates": self.num_candidates,
            "max_rule_tokens": self.max_rule_tokens,
            "max_iterations": self.max_iterations,
            "seed": self.seed,
        }


def _student_lm(student: dspy.Module) -> dspy.BaseLM:
    own = [predictor.lm for predictor in student.predictors() if predictor.lm is not None]
    lm = own[0] if own else dspy.settings.lm
    if lm is None:
        raise PLDError("The student has no language model: call dspy.configure(lm=dspy.LM(...)) first.")
    return lm


def _clustering_settings(
    clustering: "Mapping[str, Any] | ClusterMixin | None", seed: int
) -> "Mapping[str, Any] | ClusterMixin":
    if clustering is None or isinstance(clustering, Mapping):
        settings = {"seed": seed, **(clustering or {})}
        check_settings(settings)
        return settings
    if isinstance(clustering, type) or not hasattr(clustering, "fit_predict"):
        raise PLDError(f"{clustering!r} is neither settings of the clustering nor an estimator with fit_predict.")
    return clustering


def _described(clustering: "Mapping[str, Any] | ClusterMixin | None") -> str:
    """The clustering in words; where its study is stored does not change it, and may hold a password."""
    if clustering is None or isinstance(clustering, Mapping):
        told = [f"{name}={worded(value)}" for name, value in sorted((clustering or {}).items()) if name not in UNTOLD]
        return " ".join(["search", *told])
    return worded(repr(clustering))
