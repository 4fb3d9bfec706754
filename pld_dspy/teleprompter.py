"""PLDTeleprompter: prompt-level distillation as a DSPy optimizer."""

import hashlib
import random
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dspy
import numpy as np
from dspy.teleprompt import Teleprompter
from sklearn.base import clone

from pld_dspy.clustering import Embedder, search_clusters, tfidf
from pld_dspy.clustering.embedders import embed
from pld_dspy.errors import PLDError
from pld_dspy.evaluation import Evaluator, Metric, Scored, exact_match, program_fingerprint
from pld_dspy.examples import fingerprint, labelled_predictors
from pld_dspy.extraction import extract, lesson
from pld_dspy.instructions import instruct
from pld_dspy.resolution import Resolver, Rules, Step
from pld_dspy.rules import MicroRule, RuleSet
from pld_dspy.run import RunFolder
from pld_dspy.runner import BudgetSpent, Runner
from pld_dspy.synthesis import synthesise
from pld_dspy.teacher import Teacher
from pld_dspy.usage import Usage


@dataclass(frozen=True)
class Distillation:
    """What a compile found out; the compiled program carries it as `.pld`."""

    rules: dict[str, RuleSet]  # by predictor name
    steps: list[Step]  # every decision of conflict resolution
    validation: dict[str, float]  # score of the student as it came, with the clustered rules, and as returned
    usage: dict[str, Usage]  # by role, teacher and student
    budget_spent: bool


class PLDTeleprompter(Teleprompter):
    """Distil a teacher's reasoning about labelled examples into rules in a student's instructions.

    Source: Badhe & Shah, "Prompt-Level Distillation", arXiv:2602.21103.

    Args:
        metric: `metric(example, prediction)`; by default the student program's own `metric`, else exact match of its
            labelled output fields.
        teacher_lm: the model that writes the rules; by default the student's own.
        embedder: texts to vectors, for clustering; by default TF-IDF, which needs no model.
        clustering: a scikit-learn estimator with `fit_predict` on the vectors; by default DBSCAN with the parameters
            that `search_clusters` finds.
        max_rule_tokens: budget of a predictor's rules in the student's prompt; None for no limit.
        max_iterations: rounds of conflict resolution; 0 leaves it out.
        num_threads: model calls side by side; by default DSPy's setting.
        max_lm_calls: when so many calls have been made, the best program so far is returned.
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
        embedder: Embedder = tfidf,
        clustering: Any = None,
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
        outputs = labelled_predictors(student, trainset)
        metric = self.metric or getattr(student, "metric", None) or exact_match(student)
        student_lm = _student_lm(student)
        teacher_lm, teacher = self.teacher_lm or student_lm, teacher or Teacher()
        run = RunFolder(self.log_dir, self._configuration(student, trainset, valset, student_lm, teacher_lm))
        runner = Runner(self.num_threads, self.max_lm_calls, self.max_cost, self.display_progress, run.state.usage)
        evaluate = Evaluator(
            metric,
            runner,
            known=run.lines("evaluations.jsonl", Scored),
            record=lambda scored: run.append("evaluations.jsonl", scored),
        )
        versions: list[Rules] = []
        steps: list[Step] = []

        def teaching() -> AbstractContextManager:
            return dspy.context(lm=teacher_lm, usage_tracker=runner.teacher)

        def build(rules: Rules) -> dspy.Module:
            return instruct(student, rules, self.max_rule_tokens, student_lm.model)

        def keep(rules: Rules) -> None:
            run.write_rules(rules, len(versions))
            run.status("running", runner.usage())
            versions.append(rules)

        def report(step: Step) -> None:
            run.append("edits.jsonl", step)
            steps.append(step)

        validation: dict[str, float] = {}
        try:
            validation["student"] = evaluate(student, valset, "Validating the student").score
            with teaching():
                micro_rules = self._extract(student, trainset, outputs, teacher, runner, run)
                keep(self._cluster(student, micro_rules, teacher, runner, run))
            validation["clustered"] = evaluate(build(versions[0]), valset, "Validating the clustered rules").score
            resolver = Resolver(
                build, evaluate, teacher, teaching, runner, trainset, valset, self.seed, self.max_iterations
            )
            resolver.resolve(versions[0], keep, report)
        except BudgetSpent:
            pass  # what there is so far is returned
        except BaseException as error:
            run.status("stopped" if isinstance(error, KeyboardInterrupt) else f"failed: {error}", runner.usage())
            raise
        rules = dict(versions[-1]) if versions else {}
        if "clustered" in validation:
            validation["compiled"] = next(
                (step.after for step in reversed(steps) if step.accepted), validation["clustered"]
            )
        program = build(rules)
        program._compiled = True
        usage = {"teacher": runner.teacher.total(), "student": runner.student.total()}
        program.pld = Distillation(rules, steps, validation, usage, runner.spent)
        run.write_program(program)
        run.status("budget spent" if runner.spent else "finished", runner.usage())
        return program

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

    def _extract(
        self,
        student: dspy.Module,
        trainset: Sequence[dspy.Example],
        outputs: Iterable[str],
        teacher: Teacher,
        runner: Runner,
        run: RunFolder,
    ) -> list[MicroRule]:
        found = {(rule.predictor, rule.example): rule for rule in run.lines("micro_rules.jsonl", MicroRule)}
        lessons = [lesson(student, name, example) for name in outputs for example in trainset]
        new = [each for each in lessons if (each.predictor, each.id) not in found]
        extracted = extract(new, teacher, runner, lambda rule: run.append("micro_rules.jsonl", rule))
        found |= {(rule.predictor, rule.example): rule for rule in extracted}
        return [found[key] for each in lessons if (key := (each.predictor, each.id)) in found]

    def _cluster(
        self, student: dspy.Module, micro_rules: Sequence[MicroRule], teacher: Teacher, runner: Runner, run: RunFolder
    ) -> Rules:
        rules, report = {}, {}
        for name, predictor in student.named_predictors():
            own = [rule for rule in micro_rules if rule.predictor == name]
            if not own:
                continue
            vectors = embed([rule.rule for rule in own], self.embedder)
            if self.clustering is None:
                found = search_clusters(vectors, seed=self.seed)
                labels, params = found.labels, found.params
            else:
                labels, params = np.asarray(clone(self.clustering).fit_predict(vectors)), self.clustering.get_params()
            rules[name] = synthesise(own, labels, predictor.signature.instructions, teacher, runner)
            clusters: dict[str, list[str]] = {}
            for rule, label in zip(own, labels.tolist(), strict=True):
                clusters.setdefault("noise" if label < 0 else str(label), []).append(rule.example)
            report[name] = {"params": {key: repr(value) for key, value in params.items()}, "clusters": clusters}
        run.write("clusters.json", report)
        return rules

    def _configuration(
        self,
        student: dspy.Module,
        trainset: Sequence[dspy.Example],
        valset: Sequence[dspy.Example],
        student_lm: dspy.BaseLM,
        teacher_lm: dspy.BaseLM,
    ) -> dict[str, Any]:
        data = hashlib.sha256("".join(fingerprint(example) for example in (*trainset, *valset)).encode()).hexdigest()
        return {
            "program": type(student).__name__,
            "instructions": program_fingerprint(student),
            "data": data[:12],
            "n": {"train": len(trainset), "val": len(valset)},
            "student": student_lm.model,
            "teacher": teacher_lm.model,
            "embedder": getattr(self.embedder, "__name__", type(self.embedder).__name__),
            "clustering": "search" if self.clustering is None else repr(self.clustering),
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
