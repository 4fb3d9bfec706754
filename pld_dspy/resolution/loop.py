"""Phase 3: the rules are repaired, edit by edit, and a gate on validation data decides about each."""

from pld_dspy.context import Context, Rules, Version
from pld_dspy.resolution.decisions import Decisions
from pld_dspy.resolution.gates import gate_of
from pld_dspy.resolution.proposers import Diagnosis, Round, proposers_of
from pld_dspy.resolution.pruning import prune
from pld_dspy.resolution.settings import Resolution
from pld_dspy.teacher import Teacher


def resolve(context: Context, rules: Rules, max_iterations: int, how: Resolution) -> Rules:
    """Look for contradictions and failures, let the teacher propose edits, take those that the gate lets pass, and
    prune what is of no use then.

    A round that changes nothing is followed by one that makes the rules shorter at equal score; the loop ends when
    that changes nothing either, or after `max_iterations` rounds. Training examples give the failures and successes
    that the teacher sees; the validation set only decides, so that no edit is judged on the questions it was written
    for.

    Args:
        context: of the compile; every version that is accepted is kept there, and every decision noted.
        rules: the clustered rules.
        max_iterations: rounds; with 0 nothing is done. Without a teacher there is only pruning.
        how: the gate, the proposers and what they look at.

    Returns:
        The last accepted version.

    Raises:
        BudgetSpent: the budget ended first; what was accepted until then was kept.
    """
    if max_iterations == 0:
        return rules
    gate = gate_of(how.gate)
    decisions = Decisions(context, gate)
    if context.teacher is not None:
        rules = _repaired(context, context.teacher, rules, max_iterations, how, decisions)
    if gate.validates and how.prune:
        rules = prune(context, rules, decisions, 1 + decisions.rounds)
        # Rules whose use is known fill the token budget in another order.
        left = context.score(context.build(rules), context.valset, "Validating what is left")
        context.keep(Version(rules, left))
    return rules


def _repaired(
    context: Context, teacher: Teacher, rules: Rules, max_iterations: int, how: Resolution, decisions: Decisions
) -> Rules:
    """The rules after the rounds."""
    proposers = proposers_of(how.proposers)
    diagnosis = Diagnosis(how.diagnosed, how.failures_per_call, how.successes_per_call, how.ask_rule)
    for number in range(1, 1 + max_iterations):
        before = rules
        for proposer in proposers:
            if proposer.when_settled and not (decisions.gate.validates and rules is before):
                continue
            refused = {name: decisions.refused(name) for name in rules}
            for proposal in proposer.propose(context, teacher, Round(number, rules, diagnosis, refused)):
                rules = decisions.consider_all(rules, proposal, number)
        if rules is before:
            break
    return rules
