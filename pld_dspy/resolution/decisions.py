"""What the gate has decided in one compile, so that nothing is tried twice."""

from pld_dspy.context import Context, Rules, Version
from pld_dspy.examples import example_id, has_options
from pld_dspy.resolution.diagnosis import in_front
from pld_dspy.resolution.gates import MINIBATCH, Gate, Trial
from pld_dspy.rules import Edit, Proposal, Step, Verdict
from pld_dspy.rules.steps import REPEATED, obstacle
from pld_dspy.rules.wording import quotation
from pld_dspy.student import Evaluation

COPIED_WORDS = 12  # as many words of a demonstration's rule in a row are a copy
MOST_REFUSED = 20  # edits that the teacher is reminded of, the latest ones


class Decisions:
    """What the gate decides in one compile: no edit is tried twice for the same rules.

    Args:
        context: of the compile.
        gate: decides.
    """

    def __init__(self, context: Context, gate: Gate) -> None:
        self.context, self.gate = context, gate
        self.valset = in_front(context.valset, context.strata, MINIBATCH, context.seed)
        self._tried: dict[tuple[object, ...], tuple[Proposal, Step]] = {}  # by the edit and what it was to change
        self._options = any(map(has_options, context.trainset))
        self._demonstrations = _demonstrations(context)  # which small teachers copy into their edits

    @property
    def rounds(self) -> int:
        """The last round in which something was decided; 0 for none."""
        return max((step.iteration for _, step in self._tried.values()), default=0)

    def refused(self, predictor: str) -> str:
        """The latest edits of a predictor's rules that were refused, and why, as text for the teacher."""
        steps = [step for _, step in self._tried.values() if step.predictor == predictor and not step.verdict.accepted]
        return "\n".join(f"{step.edit} ({step.verdict.why})" for step in steps[-MOST_REFUSED:])

    def consider_all(self, rules: Rules, proposal: Proposal, iteration: int) -> Rules:
        """Put each edit of a proposal to the gate, and return the rules as they stand then."""
        for edit in proposal.edits:
            rules = self.consider(rules, edit, proposal, iteration)
        return rules

    def consider(self, rules: Rules, edit: Edit, proposal: Proposal, iteration: int) -> Rules:
        """Put one edit of a proposal to the gate, and return the rules as they stand then."""
        name = proposal.predictor
        named_texts = [rule.text for rule in rules[name].rules if rule.id in edit.ids]
        key = (name, edit.gist, () if edit.wordings else tuple(named_texts))
        if not proposal.measured and self._is_settled(key, proposal):
            return rules
        problem = obstacle(edit, rules[name], self._options)
        if problem == REPEATED and self._was_taken(edit):
            return rules  # proposed for other failures, too
        if any(quotation(text, self._demonstrations, COPIED_WORDS) for text in edit.wordings):
            problem = "copies the demonstration of another task"
        if problem is None and proposal.objection is not None:
            problem = proposal.objection(edit, rules[name])
        failures = [example_id(example) for example in proposal.failures]
        verdict = Verdict(accepted=False, why=problem or "")
        if problem is None:
            candidate = {**rules, name: rules[name].apply([edit], failures)}
            verdict = self.gate.judge(
                Trial(
                    context=self.context,
                    current=self.context.build(rules),
                    candidate=self.context.build(candidate),
                    valset=self.valset,
                    failures=proposal.failures,
                    shortens=proposal.shortens,
                    measured=proposal.measured,
                )
            )
        validation = self._validation(candidate) if verdict.accepted else None
        step = Step(
            iteration=iteration,
            purpose=proposal.purpose,
            predictor=name,
            edit=edit,
            before=named_texts,
            failures=failures,
            authors=sorted({author for rule in rules[name].rules if rule.id in edit.ids for author in rule.authors}),
            verdict=verdict,
        )
        self._tried[key] = proposal, step
        self.context.note(step)
        if not verdict.accepted:
            return rules
        self.context.keep(Version(candidate, validation))
        return candidate

    def _validation(self, rules: Rules) -> Evaluation | None:
        """What rules that were taken come to: the gate may have looked at a part, or at something else."""
        if not self.gate.validates:
            return None
        return self.context.score(self.context.build(rules), self.context.valset, "Validating an edit")

    def _is_settled(self, key: tuple[object, ...], proposal: Proposal) -> bool:
        """Whether an earlier verdict on the same edit holds: one that asked for a gain may not where none is needed."""
        if key not in self._tried:
            return False
        earlier, step = self._tried[key]
        lost = step.verdict.comparison is not None and step.verdict.comparison.gain < 0
        return not proposal.shortens or earlier.shortens or step.verdict.accepted or lost

    def _was_taken(self, edit: Edit) -> bool:
        return any(step.verdict.accepted and step.edit.gist == edit.gist for _, step in self._tried.values())


def _demonstrations(context: Context) -> str:
    """The rules that the teacher's demonstrations show."""
    predictors = context.teacher.predictors() if context.teacher else []
    demos = [demo for predictor in predictors for demo in predictor.demos]
    edits = [edit for demo in demos for edit in demo.get("edits", [])]
    texts = [str(demo.get("rule", "")) for demo in demos] + [text for edit in edits for text in edit.wordings]
    return "\n".join(texts)
