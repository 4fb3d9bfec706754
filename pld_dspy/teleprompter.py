"""PLDTeleprompter: prompt-level distillation as a DSPy optimizer."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dspy
from dspy.teleprompt import Teleprompter

from pld_dspy.clustering import Embedder, tfidf
from pld_dspy.context import Session
from pld_dspy.embedders import check, described_embedder
from pld_dspy.errors import PLDError
from pld_dspy.examples import labelled_predictors
from pld_dspy.extraction.people import Expertise, expert_rules
from pld_dspy.extraction.rationales import RationaleTeacher
from pld_dspy.models.naming import described
from pld_dspy.resolution.loop import Resolution
from pld_dspy.rules import MicroRule
from pld_dspy.run.budgets import Auto, Budget, budget
from pld_dspy.run.configuration import (
    clustering_settings,
    described_clustering,
    described_data,
    described_metric,
    described_rules,
)
from pld_dspy.run.folder import RunFolder
from pld_dspy.run.runner import BudgetSpent, Runner
from pld_dspy.run.usage import price
from pld_dspy.sentence_embedder import SentenceEmbedder
from pld_dspy.settings import one_of
from pld_dspy.student.evaluation import Metric, exact_match, program_fingerprint
from pld_dspy.student.routing import check_routing
from pld_dspy.teacher import Teacher

if TYPE_CHECKING:
    from sklearn.base import ClusterMixin

NOTHING = (
    "No training example has a label that a predictor could learn from.",
    "No training example has a lecture or solution with a sentence that could be a rule.",
)
EXTRACTIONS = ("examples", "rewritten rationales", "rationales", "none")


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
        resolution: how conflicts are resolved: the gate, how many failures are looked at, whether rules are pruned.
        extraction: where micro-rules come from: "examples" (the teacher solves them with their gold answers),
            "rewritten rationales" (the teacher writes the data's lectures and solutions as short checks), "rationales"
            (their own sentences, without a model) or "none" (`expert_rules` only).
        expert_rules: people's own rules, beside the extracted ones: a file of micro-rules or a rule set, or either as
            objects; see `experts.expert_rules`. They stay marked as theirs.
        max_rule_tokens: budget of a predictor's rules in the student's prompt; None for no limit.
        rules_per_question: with a number, a question's prompt holds only so many rules, the nearest to it.
        auto: "light", "medium" or "heavy" sets those of the next three that are not given; `budgets.budget` says what
            each means.
        max_iterations: rounds of conflict resolution; 0 leaves it out, with pruning. By default 3.
        num_candidates: clusterings whose rules are tried on the validation set, at most 3 (the default): the best of
            the search and the best with half and a quarter of its clusters; 1 leaves the choice to the search.
        max_lm_calls: when so many calls have been made, the best program so far is returned. A run that was interrupted
            goes on with what was left of them; one that had ended has them anew.
        max_cost: the same, in US dollars by LiteLLM's prices.
        num_threads: model calls side by side; by default DSPy's setting.
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
        resolution: Resolution | None = None,
        extraction: str = "examples",
        expert_rules: Expertise | None = None,
        max_rule_tokens: int | None = 2000,
        rules_per_question: int | None = None,
        auto: Auto | None = None,
        max_iterations: int | None = None,
        num_candidates: int | None = None,
        max_lm_calls: int | None = None,
        max_cost: float | None = None,
        num_threads: int | None = None,
        log_dir: str | Path | None = None,
        display_progress: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.metric = metric
        self.teacher_lm = teacher_lm
        self.embedder = embedder
        self.clustering = clustering
        self.resolution = resolution
        self.extraction = extraction
        self.expert_rules = expert_rules
        self.max_rule_tokens = max_rule_tokens
        self.rules_per_question = rules_per_question
        self.auto = auto
        self.max_iterations = max_iterations
        self.num_candidates = num_candidates
        self.max_lm_calls = max_lm_calls
        self.max_cost = max_cost
        self.num_threads = num_threads
        self.log_dir = log_dir
        self.display_progress = display_progress
        self.seed = seed

    def compile(
        self,
        student: dspy.Module,
        *,
        trainset: Sequence[dspy.Example] | None = None,
        teacher: Teacher | str | None = None,
        valset: Sequence[dspy.Example] | None = None,
    ) -> dspy.Module:
        """Compile a student.

        Args:
            student: any program with at least one `dspy.Predict`; it is not changed.
            trainset: labelled examples; by default the sample that the program declares with its method `sample`.
            teacher: asks the teacher's model; by default `Teacher()`, or `RationaleTeacher()` where rationales are
                rewritten. "rationales" asks no model: micro-rules are the data's own sentences, a cluster keeps its
                first wording, nothing is repaired, but rules are pruned by use. "none" does that with `expert_rules`.
            valset: labelled examples for the gate of conflict resolution; by default a third of `trainset`, set aside.

        Returns:
            The best on the validation set of: a copy of the student, or one with the clustered rules, or with a later
            version of them, in its instructions. What was found out is its `.pld`; `.pld.returned` says which it is.

        Raises:
            PLDError: the data cannot be learned from, a model does not answer, the metric fails, the teacher writes
                nothing usable, or the log folder holds something else.
        """
        trainset, valset = self._data(student, trainset, valset)
        learners = list(labelled_predictors(student, trainset))
        taught_by, extraction = self._teaching(teacher)
        several = extraction == "examples" and len(student.predictors()) > 1  # traces teach those without labels, too
        taught = [name for name, _ in student.named_predictors()] if several else learners
        experts = [] if self.expert_rules is None else expert_rules(self.expert_rules, taught)
        if extraction == "none" and not experts:
            raise PLDError("Nothing is extracted and there are no expert rules: give one of the two.")
        clustering = clustering_settings(self.clustering, self.seed)
        allowed = budget(
            self.auto,
            len(trainset),
            len(valset),
            len(student.predictors()),
            max_iterations=self.max_iterations,
            num_candidates=self.num_candidates,
            max_lm_calls=self.max_lm_calls,
            max_cost=self.max_cost,
        )
        embedder = self._embedder(student)
        check(embedder)
        if self.rules_per_question is not None:
            check_routing(self.rules_per_question, student, learners, embedder)
        how = self.resolution or Resolution()
        if not isinstance(how, Resolution):
            raise PLDError(f"resolution is a pld_dspy.resolution.Resolution, not {how!r}.")
        session = self._session(student, trainset, valset, taught_by, embedder, allowed, extraction, experts)
        try:
            session.validate_student()
            micro_rules = [*experts, *session.extract(learners, extraction)]
            if not micro_rules:
                raise PLDError(NOTHING[extraction == "rationales"])
            session.cluster(micro_rules, clustering)
            session.unite(micro_rules, allowed.num_candidates)
            session.resolve(allowed.max_iterations, how)
        except BudgetSpent:
            pass  # what there is so far is returned
        except BaseException as error:
            status = "stopped" if isinstance(error, KeyboardInterrupt) else f"failed: {error}"
            session.run.status(status, session.runner.usage())
            raise
        return session.finish(how)

    def _teaching(self, teacher: Teacher | str | None) -> tuple[Teacher | None, str]:
        """Who asks the teacher's model, None for nobody, and where micro-rules come from."""
        if isinstance(teacher, str):
            if self.extraction not in ("examples", teacher):
                raise PLDError(f"The teacher {teacher!r} does not go with the extraction {self.extraction!r}.")
            return None, one_of(teacher, EXTRACTIONS[2:], "A teacher without a model")
        extraction = one_of(self.extraction, EXTRACTIONS, "The extraction")
        rewriting = extraction == "rewritten rationales"
        if teacher is None:
            teacher = RationaleTeacher() if rewriting else Teacher()
        if not isinstance(teacher, Teacher):
            raise PLDError(f"The teacher is a pld_dspy.Teacher, 'rationales' or 'none', not {teacher!r}.")
        if rewriting != isinstance(teacher, RationaleTeacher) and extraction in EXTRACTIONS[:2]:
            raise PLDError("A RationaleTeacher, and no other teacher, goes with the extraction 'rewritten rationales'.")
        return teacher, extraction

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
        teacher: Teacher | None,
        embedder: Embedder,
        allowed: Budget,
        extraction: str,
        experts: Sequence[MicroRule],
    ) -> Session:
        student_lm = _student_lm(student)
        teacher_lm = self.teacher_lm or student_lm
        for lm in (student_lm, teacher_lm):
            if self.max_cost is not None and price(lm.model, 1, 1) is None:
                raise PLDError(f"LiteLLM knows no price of {lm.model}, so a cap on the cost cannot be kept.")
        metric = self.metric or getattr(student, "metric", None) or exact_match(student)
        configuration = {
            **described_data(student, trainset, valset),
            "student": described(student_lm),
            "teacher": described(teacher_lm) if teacher else "no model",
            "teacher_prompts": program_fingerprint(teacher) if teacher else "",
            "extraction": extraction,
            "expert_rules": described_rules(experts),
            "metric": described_metric(metric),
            "embedder": described_embedder(embedder),
            "clustering": described_clustering(self.clustering),
            "num_candidates": allowed.num_candidates,
            "max_rule_tokens": self.max_rule_tokens,
            "rules_per_question": self.rules_per_question,
            "max_iterations": allowed.max_iterations,
            "resolution": asdict(self.resolution or Resolution()),
            "seed": self.seed,
        }
        run = RunFolder(self.log_dir, configuration)
        runner = Runner(
            self.num_threads,
            allowed.max_lm_calls,
            allowed.max_cost,
            self.display_progress,
            earlier=run.state.usage,
            ended=run.state.status in ("finished", "budget spent"),
        )
        return Session(
            student=student,
            student_lm=student_lm,
            teacher=teacher,
            teacher_lm=teacher_lm,
            trainset=trainset,
            valset=valset,
            metric=metric,
            embedder=embedder,
            max_rule_tokens=self.max_rule_tokens,
            rules_per_question=self.rules_per_question,
            runner=runner,
            run=run,
            seed=self.seed,
        )


def _student_lm(student: dspy.Module) -> dspy.BaseLM:
    own = [predictor.lm for predictor in student.predictors() if predictor.lm is not None]
    lm = own[0] if own else dspy.settings.lm
    if lm is None:
        raise PLDError("The student has no language model: call dspy.configure(lm=dspy.LM(...)) first.")
    return lm
