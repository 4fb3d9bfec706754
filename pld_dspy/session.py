"""One compile in progress: what its phases share, and what is kept of each."""

import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import dspy

from pld_dspy.candidates import Candidate, settle
from pld_dspy.clustering import Clustering, Embedder
from pld_dspy.clustering.embedders import embed
from pld_dspy.clustering.search import MAX_CLUSTERS, cluster_with, search_clusters
from pld_dspy.coverage import Coverage, coverage, strata_of
from pld_dspy.errors import PLDError
from pld_dspy.evaluation import Evaluator, Metric, Scored
from pld_dspy.extraction import extract, lesson
from pld_dspy.instructions import instruct
from pld_dspy.report.page import write_page
from pld_dspy.resolution import Resolver, Step
from pld_dspy.rules import MicroRule, RuleSet
from pld_dspy.run import RunFolder
from pld_dspy.runner import BudgetSpent, Runner
from pld_dspy.synthesis import synthesise
from pld_dspy.teacher import Teacher
from pld_dspy.usage import Usage, count_tokens

if TYPE_CHECKING:
    from sklearn.base import ClusterMixin


@dataclass(frozen=True)
class Distillation:
    """What a compile found out; the compiled program carries it as `.pld`."""

    rules: dict[str, RuleSet]  # by predictor name
    in_prompt: dict[str, RuleSet]  # those of them that fit the token budget
    steps: list[Step]  # every decision of conflict resolution
    validation: dict[str, float]  # score of the student as it came, with the clustered rules, and as returned
    usage: dict[str, Usage]  # by role, teacher and student
    budget_spent: bool
    models: dict[str, str]  # by role
    clusterings: dict[str, Clustering]  # what the search found, by predictor name
    candidates: list[Candidate]  # the clusterings whose rules were validated
    coverage: Coverage  # of the training examples by the rules in the prompt


@dataclass
class Session:
    """The phases of a compile, each a method that leaves its result here and in the run folder."""

    student: dspy.Module
    student_lm: dspy.BaseLM
    teacher: Teacher
    teacher_lm: dspy.BaseLM
    trainset: Sequence[dspy.Example]
    valset: Sequence[dspy.Example]
    metric: Metric
    max_rule_tokens: int | None
    runner: Runner
    run: RunFolder
    versions: list[dict[str, RuleSet]] = field(default_factory=list)
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

    def build(self, rules: Mapping[str, RuleSet]) -> dspy.Module:
        """The student with rules in its instructions."""
        return instruct(self.student, rules, self.max_rule_tokens, self.student_lm.model)

    def validate(self, stage: str, program: dspy.Module, description: str) -> None:
        """Score a program on the validation set."""
        self.validation[stage] = self.evaluate(program, self.valset, description).score

    def extract(self, predictors: Sequence[str]) -> list[MicroRule]:
        """Phase 1. Lessons that an interrupted run has learned are not asked again."""
        found = {(rule.predictor, rule.example): rule for rule in self.run.lines("micro_rules.jsonl", MicroRule)}
        every = (lesson(self.student, name, example) for name in predictors for example in self.trainset)
        lessons = [each for each in every if each is not None]
        new = [each for each in lessons if (each.predictor, each.id) not in found]
        with self.teaching():
            extracted = extract(new, self.teacher, self.runner, lambda rule: self.run.append("micro_rules.jsonl", rule))
        found |= {(rule.predictor, rule.example): rule for rule in extracted}
        rules = [found[key] for each in lessons if (key := (each.predictor, each.id)) in found]
        if not rules and not self.runner.spent:
            raise PLDError("No training example has a label that a predictor could learn from.")
        if not rules:
            raise BudgetSpent
        return rules

    def cluster(
        self, micro_rules: Sequence[MicroRule], embedder: Embedder, clustering: "Mapping[str, Any] | ClusterMixin"
    ) -> None:
        """Phase 2, first half: which micro-rules of a predictor say the same."""
        for name, rules in _by_predictor(micro_rules).items():
            vectors = embed([rule.rule for rule in rules], embedder)
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
        for number, candidate in enumerate(_candidates(self.clusterings, num_candidates), start=1):
            if tried and number > known and self.runner.share_used() >= 0.5:
                break
            rules = self._synthesise(micro_rules, candidate)
            if not tried:
                self._start(rules, micro_rules, candidate)  # what comes back if the budget ends here
            try:
                program = self.build(rules)
                score = self.evaluate(program, self.valset, f"Validating clustering {number}").score
            except BudgetSpent:
                if not tried:
                    raise
                break
            said = {name: f"{_worded(found.params)}: {found}" for name, found in candidate.items()}
            tokens = sum(count_tokens(self.student_lm.model, of.render()) for of in self.in_prompt(rules).values())
            tried.append((candidate, Candidate(clusterings=said, rules=rules, prompt_tokens=tokens, score=score)))
            if number > known:
                self.run.append("candidates.jsonl", tried[-1][1])
        self.candidates = settle([candidate for _, candidate in tried])
        best = next(number for number, candidate in enumerate(self.candidates) if candidate.chosen)
        self.validation["clustered"] = self.candidates[best].score
        self._start(self.candidates[best].rules, micro_rules, tried[best][0])
        self.run.write("candidates.jsonl", "".join(each.model_dump_json() + "\n" for each in self.candidates))

    def in_prompt(self, rules: Mapping[str, RuleSet]) -> dict[str, RuleSet]:
        """The rules that fit the token budget, by predictor."""
        return {
            name: of.within(self.max_rule_tokens, lambda text: count_tokens(self.student_lm.model, text))
            for name, of in rules.items()
        }

    def resolve(self, max_iterations: int, seed: int) -> None:
        """Phase 3: the versions that the gate accepts."""
        resolver = Resolver(
            build=self.build,
            evaluate=self.evaluate,
            teacher=self.teacher,
            teacher_context=self.teaching,
            runner=self.runner,
            trainset=self.trainset,
            valset=self.valset,
            seed=seed,
            max_iterations=max_iterations,
        )
        resolver.resolve(self.versions[-1], self._keep, self._report)

    def finish(self) -> dspy.Module:
        """Phase 4: the student with the last version's rules, and what there is to know of them."""
        rules = self.versions[-1] if self.versions else {}
        if "clustered" in self.validation:
            accepted = [step.after for step in self.steps if step.accepted]
            self.validation["compiled"] = [self.validation["clustered"], *accepted][-1]
        program = self.build(rules)
        program._compiled = True
        in_prompt = self.in_prompt(rules)
        program.pld = Distillation(
            rules=rules,
            in_prompt=in_prompt,
            steps=self.steps,
            validation=self.validation,
            usage={"teacher": self.runner.teacher.total(), "student": self.runner.student.total()},
            budget_spent=self.runner.spent,
            models={"teacher": self.teacher_lm.model, "student": self.student_lm.model},
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
        tasks = {name: predictor.signature.instructions for name, predictor in self.student.named_predictors()}
        with self.teaching():
            return {
                name: synthesise(
                    rules, clusterings[name].labels, tasks[name], self.teacher, self.runner, self.united[name]
                )
                for name, rules in _by_predictor(micro_rules).items()
            }

    def _start(
        self, rules: Mapping[str, RuleSet], micro_rules: Sequence[MicroRule], clusterings: Mapping[str, Clustering]
    ) -> None:
        """Keep rules as version 0, and what was put together for them."""
        of = _by_predictor(micro_rules)
        self.run.write("clusters.json", {name: _report(of[name], found) for name, found in clusterings.items()})
        self.versions.clear()
        self._keep(rules)

    def _held(self, micro_rules: Sequence[MicroRule]) -> int:
        """About how many rules the student's prompt can hold."""
        if self.max_rule_tokens is None:
            return MAX_CLUSTERS
        lengths = [count_tokens(self.student_lm.model, f"\n- {rule.rule}") for rule in micro_rules]
        return min(MAX_CLUSTERS, max(2, round(self.max_rule_tokens / statistics.fmean(lengths))))

    def _keep(self, rules: Mapping[str, RuleSet]) -> None:
        self.run.write_rules(rules, len(self.versions))
        self.run.status("running", self.runner.usage())
        self.versions.append(dict(rules))

    def _report(self, step: Step) -> None:
        self.steps.append(step)
        self.run.write("edits.jsonl", "".join(each.model_dump_json() + "\n" for each in self.steps))


def _by_predictor(micro_rules: Sequence[MicroRule]) -> dict[str, list[MicroRule]]:
    found: dict[str, list[MicroRule]] = {}
    for rule in micro_rules:
        found.setdefault(rule.predictor, []).append(rule)
    return found


def _candidates(clusterings: Mapping[str, Clustering], most: int) -> list[dict[str, Clustering]]:
    """The best clustering of every predictor, the next best of every predictor, and so on, each partition once."""
    ranked = {name: [found, *found.alternatives] for name, found in clusterings.items()}
    several = [
        {name: of[min(rank, len(of) - 1)] for name, of in ranked.items()}
        for rank in range(min(most, max(map(len, ranked.values()))))
    ]
    labels = [[found.labels.tolist() for found in candidate.values()] for candidate in several]
    return [candidate for number, candidate in enumerate(several) if labels[number] not in labels[:number]]


def _worded(params: Mapping[str, Any]) -> str:
    """A setting as a person reads it."""
    told = [f"{name} {value:.2f}" if isinstance(value, float) else f"{name} {value}" for name, value in params.items()]
    return ", ".join(told).removeprefix("algorithm ").removeprefix("estimator ") or "equal rules only"


def _report(micro_rules: Sequence[MicroRule], found: Clustering) -> dict[str, Any]:
    clusters: dict[str, list[str]] = {}
    for rule, label in zip(micro_rules, found.labels.tolist(), strict=True):
        clusters.setdefault("noise" if label < 0 else str(label), []).append(rule.example)
    measures = {**found.quality._asdict(), "structure": found.structure, "weak": found.weak}
    return {"params": {key: repr(value) for key, value in found.params.items()}, **measures, "clusters": clusters}
