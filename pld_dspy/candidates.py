"""Which clustering's rules are kept: score on validation against tokens in the prompt."""

from collections.abc import Sequence

from pydantic import BaseModel

from pld_dspy.clustering.studies import quiet
from pld_dspy.rules import RuleSet


class Candidate(BaseModel):
    """The rules that came of one clustering, and what validation made of them."""

    clusterings: dict[str, str]  # by predictor: the setting, and what it came to
    rules: dict[str, RuleSet]  # by predictor
    prompt_tokens: int  # of the rules that fit into the prompt
    score: float  # on the validation set
    on_front: bool = False  # whether no other candidate has a higher score or fewer tokens at no loss of the other
    chosen: bool = False


def settle(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Mark the Pareto front of score and prompt tokens, and the candidate that is kept.

    Rules that do not fit the token budget are in no candidate's prompt, so that all of them keep to it: the highest
    score is kept, and of equal scores the one with the fewest tokens. The front is Optuna's, of a study with two
    objectives.

    Args:
        candidates: at least one.
    """
    import optuna

    with quiet():
        study = optuna.create_study(directions=["maximize", "minimize"])
        for candidate in candidates:
            study.add_trial(optuna.trial.create_trial(values=[candidate.score, candidate.prompt_tokens]))
    front = {trial.number for trial in study.best_trials}
    best = max(front, key=lambda number: (candidates[number].score, -number))
    return [
        candidate.model_copy(update={"on_front": number in front, "chosen": number == best})
        for number, candidate in enumerate(candidates)
    ]
