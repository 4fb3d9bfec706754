"""PLDTeleprompter: prompt-level distillation as a DSPy optimizer."""

import random
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import dspy
from dspy.teleprompt import Teleprompter

from pld_dspy.clustering import Clusterer, cluster, clusterer_identity, clusterer_of
from pld_dspy.context import Compile
from pld_dspy.distillation import Findings, ask_again, finish, preflight
from pld_dspy.errors import PLDError
from pld_dspy.examples import labelled_predictors
from pld_dspy.extraction import Rationales, Source, extract, sources_of
from pld_dspy.identity import data_fingerprint, lasting_fingerprint, metric_fingerprint
from pld_dspy.models import described
from pld_dspy.models.embedders import AnyEmbedder, check, default_embedder, described_embedder
from pld_dspy.resolution import Resolution, gate_of, resolve
from pld_dspy.run import Budget, BudgetSpent, Limits, RunFolder, Runner, price
from pld_dspy.run.budgets import Auto
from pld_dspy.settings import one_of
from pld_dspy.student import Metric, check_routing, examples_of, metric_of, sample_of
from pld_dspy.synthesis import unite
from pld_dspy.teacher import Teacher

NO_MODEL = ("rationales", "none")  # as a teacher
ENDED = ("finished", "budget spent")  # runs that have their calls anew


class _Prepared(NamedTuple):
    """Everything that is settled before the first call."""

    context: Compile
    sources: list[Source]
    predictors: list[str]  # that learn rules
    clusterer: Clusterer
    limits: Limits
    how: Resolution


@dataclass(eq=False)
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
        extraction: where micro-rules come from, a source or several: "examples" (the teacher solves them with their
            gold answers), "rewritten rationales" (the teacher writes the data's lectures and solutions as short
            checks), "rationales" (their own sentences, without a model), `People("rules.jsonl")` (their own rules), or
            any `extraction.Source`.
        budget: a `Budget`, or "light", "medium" or "heavy"; by default three rounds without a cap.
        max_rule_tokens: budget of a predictor's rules in the student's prompt; None for no limit.
        rules_per_question: with a number, a question's prompt holds only so many rules, the nearest to it.
        num_threads: model calls side by side; by default DSPy's setting.
        log_dir: the run folder; a run that was interrupted goes on from what it holds.
        display_progress: show progress bars on standard error.
        seed: of every draw.

    >>> from pld_dspy.programs import ScienceQA
    >>> from pld_dspy.rehearsal import rehearsal_lm
    >>> student, sample = ScienceQA(), ScienceQA.sample()  # the simulator and its sample, so that no model is needed
    >>> with dspy.context(lm=rehearsal_lm()):
    ...     teleprompter = PLDTeleprompter(budget=Budget(max_iterations=0))
    ...     compiled = teleprompter.compile(student, trainset=sample["train"][:30], valset=sample["val"][:20])
    >>> compiled.pld.validation["compiled"] >= compiled.pld.validation["student"]
    True
    """

    metric: Metric | None = None
    teacher_lm: dspy.BaseLM | None = None
    _: KW_ONLY
    embedder: AnyEmbedder | None = None
    clustering: Clusterer | None = None
    resolution: Resolution | None = None
    extraction: str | Source | Sequence[str | Source] = "examples"
    budget: Budget | Auto | None = None
    max_rule_tokens: int | None = 2000
    rules_per_question: int | None = None
    num_threads: int | None = None
    log_dir: str | Path | None = None
    display_progress: bool = False
    seed: int = 0

    def compile(
        self,
        student: dspy.Module,
        *,
        trainset: Iterable[Any] | None = None,
        teacher: Teacher | str | None = None,
        valset: Iterable[Any] | None = None,
    ) -> dspy.Module:
        """Compile a student.

        Args:
            student: any program with at least one `dspy.Predict`; it is not changed.
            trainset: labelled examples, or rows of data as `student.examples_of` takes them; by default the sample that
                the program declares with its method `sample`.
            teacher: asks the teacher's model; by default `Teacher()`. "rationales" asks no model: micro-rules are the
                data's own sentences, a cluster keeps its first wording, nothing is repaired, but rules are pruned by
                use. "none" does that with people's rules only.
            valset: labelled examples for the gate of conflict resolution; by default a third of `trainset`, set aside.

        Returns:
            The best on the validation set of: a copy of the student, or one with the clustered rules, or with a later
            version of them, in its instructions. What was found out is its `.pld`; `.pld.returned` says which it is.

        Raises:
            PLDError: the data cannot be learned from, a model does not answer, the metric fails, the teacher writes
                nothing usable, or the log folder holds something else.
        """
        context, sources, predictors, clusterer, limits, how = self._prepared(student, trainset, valset, teacher)
        findings, validates = Findings(), gate_of(how.gate).validates
        with context.on_record():
            with suppress(BudgetSpent):  # what there is until then is returned
                preflight(context)
                micro_rules = extract(context, sources, predictors)
                findings.student = context.score(context.build({}), context.valset, "Validating the student")
                findings.clusterings = cluster(context, micro_rules, clusterer)
                findings.candidates = unite(context, micro_rules, findings.clusterings, limits.num_candidates)
                resolve(context, context.versions[-1].rules, limits.max_iterations, how)
                if not validates:
                    context.validate(-1)
                ask_again(context, findings)
            return finish(context, findings, last=not validates)

    def _prepared(
        self,
        student: dspy.Module,
        trainset: Iterable[Any] | None,
        valset: Iterable[Any] | None,
        teacher: Teacher | str | None,
    ) -> _Prepared:
        """Check everything that a person may have got wrong, before anything is paid."""
        trainset, valset = self._data(student, trainset, valset)
        labelled = list(labelled_predictors(student, trainset))
        sources = self._sources(teacher)
        if teacher is not None and not isinstance(teacher, Teacher | str):
            raise PLDError(f"The teacher is a pld_dspy.Teacher, 'rationales' or 'none', not {teacher!r}.")
        asker = None if isinstance(teacher, str) else teacher or Teacher()
        traced = any(source.traces for source in sources)  # which teaches predictors without labels, too
        predictors = [name for name, _ in student.named_predictors() if traced or name in labelled]
        extraction = ", ".join(source.identity(predictors) for source in sources)
        clusterer = clusterer_of(self.clustering, self.seed)
        budget = self.budget if isinstance(self.budget, Budget) else Budget(self.budget)
        limits = budget.limits(len(trainset), len(valset), len(student.predictors()))
        how = self.resolution or Resolution()
        if not isinstance(how, Resolution):
            raise PLDError(f"resolution is a pld_dspy.resolution.Resolution, not {how!r}.")
        identities = {"extraction": extraction, "resolution": how.identity()}
        context = self._context(student, trainset, valset, asker, limits, identities)
        if self.rules_per_question is not None:
            check_routing(self.rules_per_question, student, labelled, context.embedder)
        return _Prepared(context, sources, predictors, clusterer, limits, how)

    def _context(
        self,
        student: dspy.Module,
        trainset: Sequence[dspy.Example],
        valset: Sequence[dspy.Example],
        teacher: Teacher | None,
        limits: Limits,
        identities: Mapping[str, Any],
    ) -> Compile:
        """The context of the phases, with the run folder that knows what must be the same for it to be taken up."""
        student_lm = _checked(_student_lm(student), limits)
        teacher_lm = _checked(self.teacher_lm or student_lm, limits)
        embedder = self.embedder or default_embedder(teacher_lm.model)
        check(embedder)
        metric = self.metric or metric_of(student)
        configuration = {
            "program": type(student).__name__,
            "instructions": lasting_fingerprint(student),
            "data": data_fingerprint([*trainset, *valset]),
            "n": {"train": len(trainset), "val": len(valset)},
            "student": described(student_lm),
            "teacher": described(teacher_lm) if teacher else "no model",
            "teacher_prompts": lasting_fingerprint(teacher) if teacher else "",
            "metric": metric_fingerprint(metric),
            "embedder": described_embedder(embedder),
            "clustering": clusterer_identity(self.clustering),
            "num_candidates": limits.num_candidates,
            "max_rule_tokens": self.max_rule_tokens,
            "rules_per_question": self.rules_per_question,
            "max_iterations": limits.max_iterations,
            "seed": self.seed,
            **identities,
        }
        folder = RunFolder(self.log_dir, configuration)
        folder.check_program(student)
        runner = Runner(
            self.num_threads,
            limits.max_lm_calls,
            limits.max_cost,
            self.display_progress,
            limits.max_failed,
            earlier=folder.state.usage,
            ended=folder.state.status in ENDED,
        )
        return Compile(
            student=student,
            student_lm=student_lm,
            teacher=teacher,
            teacher_lm=teacher_lm,
            trainset=trainset,
            valset=valset,
            metric=metric,
            embedder=embedder,
            runner=runner,
            folder=folder,
            max_rule_tokens=self.max_rule_tokens,
            rules_per_question=self.rules_per_question,
            seed=self.seed,
        )

    def _sources(self, teacher: Teacher | str | None) -> list[Source]:
        """Where micro-rules come from; without a model, those that ask none."""
        sources = sources_of(self.extraction)
        if isinstance(teacher, str):
            one_of(teacher, NO_MODEL, "A teacher without a model")
            if others := [source.name for source in sources if source.asks and source.name != "examples"]:
                raise PLDError(f"The teacher {teacher!r} does not go with the extraction {others[0]!r}.")
            sources = [source for source in sources if not source.asks]
            if teacher == "rationales" and not any(isinstance(source, Rationales) for source in sources):
                sources.append(Rationales())
        if not sources:
            raise PLDError("There is no source of rules: name an extraction, or give people's rules.")
        return sources

    def _data(
        self, student: dspy.Module, trainset: Iterable[Any] | None, valset: Iterable[Any] | None
    ) -> tuple[list[dspy.Example], list[dspy.Example]]:
        if trainset is None:
            sample = sample_of(student)
            trainset, valset = sample["train"], valset or sample["val"]
        train = examples_of(student, trainset)
        if not train:
            raise PLDError("The training set is empty: pass at least one labelled example.")
        if valset is None:
            if len(train) < 3:
                raise PLDError(f"{len(train)} training examples are too few to set some aside: pass a valset.")
            shuffled = random.Random(self.seed).sample(train, len(train))
            third = len(shuffled) // 3
            return shuffled[third:], shuffled[:third]
        val = examples_of(student, valset)
        if not val:
            raise PLDError(
                "The validation set is empty: pass at least one labelled example, or none to set some aside."
            )
        return train, val


def _student_lm(student: dspy.Module) -> dspy.BaseLM:
    own = [predictor.lm for predictor in student.predictors() if predictor.lm is not None]
    lm = own[0] if own else dspy.settings.lm
    if lm is None:
        raise PLDError("The student has no language model: call dspy.configure(lm=dspy.LM(...)) first.")
    return lm


def _checked(lm: Any, limits: Limits) -> dspy.BaseLM:
    if not isinstance(lm, dspy.BaseLM):
        raise PLDError(f"A language model is a dspy.BaseLM, as dspy.LM('openai/gpt-4o'), not {lm!r}.")
    if limits.max_cost is not None and price(lm.model, 1, 1) is None:
        raise PLDError(f"LiteLLM knows no price of {lm.model}, so a cap on the cost cannot be kept.")
    return lm
