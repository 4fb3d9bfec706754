"""One compile in progress: what its phases share, and what is kept of each."""

import logging
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import dspy

from pld_dspy.clustering import Clustering, Embedder
from pld_dspy.clustering.search import MAX_CLUSTERS, cluster_with, search_clusters
from pld_dspy.distillation import Distillation, Version, best_version
from pld_dspy.embedders import embed
from pld_dspy.examples import example_id
from pld_dspy.extraction.lessons import Lesson, extract, lesson
from pld_dspy.extraction.rationales import from_rationales
from pld_dspy.extraction.traces import Turn, passed_traces
from pld_dspy.report.page import write_page
from pld_dspy.resolution.diagnosis import Rules, in_front
from pld_dspy.resolution.gates import MINIBATCH, Gate, Verdict
from pld_dspy.resolution.loop import Resolution, Resolver
from pld_dspy.resolution.pruning import Pruner
from pld_dspy.rules import MicroRule, RuleSet, by_predictor
from pld_dspy.rules.steps import Step
from pld_dspy.run.folder import RunFolder
from pld_dspy.run.runner import BudgetSpent, Runner
from pld_dspy.run.usage import count_tokens
from pld_dspy.student.coverage import coverage, strata_of
from pld_dspy.student.evaluation import Evaluator, Metric, Scored
from pld_dspy.student.instructions import instruct
from pld_dspy.student.routing import Routing, route
from pld_dspy.synthesis.candidates import Candidate, clusterings_to_try, said_of, settle, written
from pld_dspy.synthesis.unions import synthesise
from pld_dspy.teacher import Teacher

if TYPE_CHECKING:
    from sklearn.base import ClusterMixin

log = logging.getLogger(__name__)

MEASURABLE = 2  # times the token budget: as many rules are looked at when their use is measured


@dataclass
class Session:
    """The phases of a compile, each a method that leaves its result here and in the run folder."""

    student: dspy.Module
    student_lm: dspy.BaseLM
    teacher: Teacher | None  # None where no model teaches
    teacher_lm: dspy.BaseLM
    trainset: Sequence[dspy.Example]
    valset: Sequence[dspy.Example]
    metric: Metric
    embedder: Embedder
    max_rule_tokens: int | None
    rules_per_question: int | None  # None for all
    runner: Runner
    run: RunFolder
    seed: int = 0
    versions: list[Version] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    validation: dict[str, float] = field(default_factory=dict)
    candidates: list[Candidate] = field(default_factory=list)
    clusterings: dict[str, Clustering] = field(default_factory=dict)  # by predictor
    united: dict[str, dict[tuple[str, ...], str | None]] = field(default_factory=lambda: defaultdict(dict))

    def __post_init__(self) -> None:
        self.evaluate = Evaluator(
            self.metric,
            self.runner,
            known=self.run.lines("evaluations.jsonl", Scored),
            record=lambda scored: self.run.append("evaluations.jsonl", scored),
        )

    def teaching(self) -> AbstractContextManager:
        """In this context calls go to the teacher's model and count as the teacher's."""
        return dspy.context(lm=self.teacher_lm, usage_tracker=self.runner.teacher)

    def build(self, rules: Mapping[str, RuleSet], budgets: int = 1) -> dspy.Module:
        """The student with rules in its instructions, as many as fit into so many token budgets."""
        shown = self.in_prompt(rules, budgets)
        program = instruct(self.student, shown)
        if self.rules_per_question is None:
            return program
        tasks = self._tasks()
        routings = {
            name: Routing(
                k=self.rules_per_question, embedder="", task=tasks[name], rules=tuple(rule.text for rule in of.rules)
            )
            for name, of in shown.items()
        }
        return route(program, routings, self.embedder)

    def in_prompt(self, rules: Mapping[str, RuleSet], budgets: int = 1) -> dict[str, RuleSet]:
        """The rules that fit the token budget, by predictor."""
        most = None if self.max_rule_tokens is None else budgets * self.max_rule_tokens
        return {
            name: of.within(most, lambda text: count_tokens(self.student_lm.model, text)) for name, of in rules.items()
        }

    def validate_student(self) -> None:
        """Score the student as it came on the validation set."""
        self.validation["student"] = self.evaluate(self.student, self.valset, "Validating the student").score

    def extract(self, predictors: Sequence[str], source: str) -> list[MicroRule]:
        """Phase 1, from "examples", "rationales" or "none".

        Lessons that an interrupted run has learned are not asked again.
        """
        if source == "none":
            return []
        lessons = self._lessons(predictors, traced=source == "examples")
        if source == "rationales" or self.teacher is None:
            return from_rationales(lessons)
        found = {(rule.predictor, rule.example): rule for rule in self.run.lines("micro_rules.jsonl", MicroRule)}
        new = [each for each in lessons if (each.predictor, each.id) not in found]
        with self.teaching():
            extracted = extract(new, self.teacher, self.runner, lambda rule: self.run.append("micro_rules.jsonl", rule))
        found |= {(rule.predictor, rule.example): rule for rule in extracted}
        rules = [found[key] for each in lessons if (key := (each.predictor, each.id)) in found]
        if not rules and self.runner.spent:
            raise BudgetSpent
        return rules

    def cluster(self, micro_rules: Sequence[MicroRule], clustering: "Mapping[str, Any] | ClusterMixin") -> None:
        """Phase 2, first half: which micro-rules of a predictor say the same."""
        for name, rules in by_predictor(micro_rules).items():
            vectors = embed([rule.rule for rule in rules], self.embedder)
            if not isinstance(clustering, Mapping):
                self.clusterings[name] = cluster_with(clustering, vectors)
                continue
            settings = {"max_clusters": self._held(rules), **clustering}
            if settings.get("study_name") and len(self.student.predictors()) > 1:
                settings["study_name"] += f"-{name}"
            self.clusterings[name] = search_clusters(vectors, display_progress=self.runner.display_progress, **settings)

    def unite(self, micro_rules: Sequence[MicroRule], num_candidates: int) -> None:
        """Phase 2, second half: version 0 of the rules, by the clustering whose rules score best on validation.

        Further candidates are tried while less than half of the budget is used.
        """
        known = len(self.run.lines("candidates.jsonl", Candidate))  # by this run before it was stopped
        tried: list[tuple[dict[str, Clustering], Candidate]] = []
        for number, candidate in enumerate(clusterings_to_try(self.clusterings, num_candidates), start=1):
            if tried and number > known and self.runner.share_used() >= 0.5:
                break
            rules = self._synthesise(micro_rules, candidate)
            if not tried:
                self._start(Version(rules), micro_rules, candidate)
            try:
                score = self.evaluate(self.build(rules), self.valset, f"Validating clustering {number}").score
            except BudgetSpent:
                if not tried:
                    raise
                break
            tokens = sum(count_tokens(self.student_lm.model, of.render()) for of in self.in_prompt(rules).values())
            tried.append(
                (candidate, Candidate(clusterings=said_of(candidate), rules=rules, prompt_tokens=tokens, score=score))
            )
            if number > known:
                self.run.append("candidates.jsonl", tried[-1][1])
        self.candidates = settle([candidate for _, candidate in tried])
        best = next(number for number, candidate in enumerate(self.candidates) if candidate.chosen)
        self.validation["clustered"] = self.candidates[best].score
        self._start(Version(self.candidates[best].rules, self.candidates[best].score), micro_rules, tried[best][0])
        self.run.write("candidates.jsonl", "".join(each.model_dump_json() + "\n" for each in self.candidates))
        for name, fitting in self.in_prompt(self.versions[0].rules).items():
            if left_out := len(self.versions[0].rules[name]) - len(fitting):
                log.warning("%d rules of %s do not fit into %s tokens.", left_out, name, self.max_rule_tokens)

    def resolve(self, max_iterations: int, how: Resolution) -> None:
        """Phase 3, unless there are no rounds: the versions that the gate accepts, and what each rule is good for."""
        if max_iterations == 0:
            return
        strata = strata_of(self.student, self.trainset)
        resolver = Resolver(
            build=self.build,
            in_prompt=self.in_prompt,
            evaluate=self.evaluate,
            gate=Gate(self.evaluate, in_front(self.valset, strata, MINIBATCH, self.seed), how.gate, seed=self.seed),
            teacher=self.teacher or Teacher(),  # which nobody asks in no rounds
            teacher_context=self.teaching,
            runner=self.runner,
            embedder=self.embedder,
            trainset=self.trainset,
            strata=strata,
            accept=self._accept,
            report=self._report,
            how=how,
            seed=self.seed,
        )
        rules: Rules = resolver.resolve(self.versions[-1].rules, max_iterations if self.teacher else 0)
        if how.gate == "off":
            self.versions[-1] = Version(dict(rules), self.evaluate(self.build(rules), self.valset, "Validating").score)
        elif how.prune:
            pruner = Pruner(
                build=lambda rules: self.build(rules, MEASURABLE),
                measurable=lambda rules: self.in_prompt(rules, MEASURABLE),
                evaluate=self.evaluate,
                resolver=resolver,
                seed=self.seed,
            )
            rules = pruner.prune(rules, iteration=1 + max((step.iteration for step in self.steps), default=0))
            # Rules whose use is known fill the token budget in another order.
            left = self.evaluate(self.build(rules), self.valset, "Validating what is left")
            self._keep(Version(dict(rules), left.score))

    def finish(self, how: Resolution) -> dspy.Module:
        """Phase 4: the best program on the validation set, or the last one, and what there is to know of it."""
        version, returned = best_version(self.validation.get("student"), self.versions, last=how.gate == "off")
        if self.runner.spent:
            returned += " The budget ended the compile before it was through."
        if version.score is not None:
            self.validation["compiled"] = version.score
        program = self.build(version.rules)
        program._compiled = True
        in_prompt = self.in_prompt(version.rules)
        program.pld = Distillation(
            rules=version.rules,
            in_prompt=in_prompt,
            returned=returned,
            steps=self.steps,
            validation=self.validation,
            usage={"teacher": self.runner.teacher.total(), "student": self.runner.student.total()},
            budget_spent=self.runner.spent,
            models={"teacher": self.teacher_lm.model if self.teacher else "no model", "student": self.student_lm.model},
            clusterings=self.clusterings,
            candidates=self.candidates,
            coverage=coverage(in_prompt, self.trainset, strata_of(self.student, self.trainset)),
        )
        self.run.write_program(program)
        self.run.write("coverage.json", program.pld.coverage)
        self.run.status("budget spent" if self.runner.spent else "finished", self.runner.usage())
        write_page(self.run, type(self.student).__name__, program.pld)
        return program

    def _synthesise(
        self, micro_rules: Sequence[MicroRule], clusterings: Mapping[str, Clustering]
    ) -> dict[str, RuleSet]:
        tasks = self._tasks()
        with self.teaching():
            return {
                name: synthesise(
                    rules, clusterings[name].labels, tasks[name], self.teacher, self.runner, self.united[name]
                )
                for name, rules in by_predictor(micro_rules).items()
            }

    def _tasks(self) -> dict[str, str]:
        return {name: predictor.signature.instructions for name, predictor in self.student.named_predictors()}

    def _lessons(self, predictors: Sequence[str], traced: bool) -> list[Lesson]:
        """The training examples as the teacher gets them, for each predictor that can learn from them.

        In a program with several predictors, a predictor's own inputs are shown where the teacher's model got the
        answer right, and its own outputs stand in for labels that there are not.
        """
        turns: dict[str, dict[str, Turn]] = {}
        if traced and len(self.student.predictors()) > 1:
            with self.teaching():
                turns = passed_traces(self.student, self.trainset, self.metric, self.teacher_lm, self.runner)
        found = []
        for name, _ in self.student.named_predictors():
            for example in self.trainset:
                turn = turns.get(example_id(example), {}).get(name)
                if name in predictors or turn is not None:
                    found.append(lesson(self.student, name, example, turn))
        return [each for each in found if each is not None]

    def _start(self, version: Version, micro_rules: Sequence[MicroRule], clusterings: Mapping[str, Clustering]) -> None:
        """Keep rules as version 0, and what was put together for them."""
        of = by_predictor(micro_rules)
        self.run.write("clusters.json", {name: written(of[name], found) for name, found in clusterings.items()})
        self.versions.clear()
        self.run.clear("rules")
        self._keep(version)

    def _held(self, micro_rules: Sequence[MicroRule]) -> int:
        """About how many rules the student's prompt can hold."""
        if self.max_rule_tokens is None:
            return MAX_CLUSTERS
        lengths = [count_tokens(self.student_lm.model, f"\n- {rule.rule}") for rule in micro_rules]
        return min(MAX_CLUSTERS, max(2, round(self.max_rule_tokens / statistics.fmean(lengths))))

    def _accept(self, rules: Mapping[str, RuleSet], verdict: Verdict) -> None:
        self._keep(Version(dict(rules), verdict.comparison.after if verdict.comparison else None))

    def _keep(self, version: Version) -> None:
        self.run.write_rules(version.rules, len(self.versions))
        self.run.status("running", self.runner.usage())
        self.versions.append(version)

    def _report(self, step: Step) -> None:
        self.steps.append(step)
        self.run.write("edits.jsonl", "".join(each.model_dump_json() + "\n" for each in self.steps))
