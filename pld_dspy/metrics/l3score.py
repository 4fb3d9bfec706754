"""L3Score: how sure a language model is that an answer means the same as the gold answer."""

import math
from collections.abc import Sequence
from typing import Any

import dspy
from dspy.utils.exceptions import LMUnsupportedFeatureError

from pld_dspy.errors import PLDError
from pld_dspy.metrics.measures import Measure, MeasureScores, gold_answers
from pld_dspy.run.runner import Runner

# The judge's prompt, word for word as in the paper and in the benchmark's repository (github.com/google/spiqa): with
# another wording, scores could not be compared with published ones.
PROMPT = (
    "You are given a question, ground-truth answer, and a candidate answer. Question: {question} \n"
    "Ground-truth answer: {answer} \n"
    "Candidate answer: {candidate} \n"
    "Is the semantic meaning of the ground-truth and candidate answers similar? Answer in one word - Yes or No."
)
LISTED = 5  # tokens whose log-probabilities the judge reports
LONGEST = 10_000  # characters of a candidate answer that are judged: cuts only replies that have run away
_YES = ("yes", "yeah")
_NO = ("no",)
_LEAST = 1e-8  # probability of a token that is not listed, at least
_ROUNDING = 1e-6  # by which a log-probability may exceed 0


class L3Score(Measure):
    """The L3Score of SPIQA (Pramanick et al., NeurIPS 2024, arXiv:2407.09413), with any judge.

    Scores by different judges cannot be compared; the published ones are by GPT-4o.

    Args:
        judge: a chat model that reports the log-probabilities of its five likeliest tokens, as GPT-4o does, and the
            servers of vLLM and llama.cpp; reasoning models do not. Its settings hold, but for the temperature (0) and
            the length of the reply, and so does DSPy's cache.
    """

    heading = "L3Score"

    def __init__(self, judge: dspy.BaseLM) -> None:
        self.judge = judge

    def score(self, examples: Sequence[dspy.Example], answers: Sequence[str | None], runner: Runner) -> MeasureScores:
        """Judge the answers side by side."""

        def judged(question: tuple[dspy.Example, str, str | None]) -> float:
            example, gold, answer = question
            return self(str(example.question), gold, answer)

        questions = list(zip(examples, gold_answers(examples), answers, strict=True))
        outcomes = runner.map("judge", judged, questions, "Judging the answers")
        errors = [outcome.error for outcome in outcomes if outcome.value is None]
        if errors:
            raise PLDError(f"The judge left {len(errors)} of {len(outcomes)} answers unjudged: {errors[0]}.")
        return MeasureScores([outcome.value for outcome in outcomes if outcome.value is not None])

    def __call__(self, question: str, answer: str, candidate: str | None) -> float:
        """The score of one candidate answer to a question, a fraction.

        Of the candidate, the first 10,000 characters count; None scores 0 without a call, and an empty text is judged
        like any other.

        Raises:
            PLDError: the judge reports no log-probabilities, or fewer than five.
            dspy.utils.exceptions.LMError: the judge does not answer.
        """
        if candidate is None:
            return 0.0
        prompt = PROMPT.format(question=question, answer=answer, candidate=candidate[:LONGEST])
        # A lone surrogate, which a model's JSON can hold, cannot be sent.
        prompt = prompt.encode("utf-8", "replace").decode("utf-8")
        try:
            # Only the first token counts; the others keep DSPy from warning of a truncated reply.
            outputs = self.judge(prompt, temperature=0, max_tokens=16, logprobs=True, top_logprobs=LISTED)
        except LMUnsupportedFeatureError as error:
            raise self._unfit(f"cannot be asked for log-probabilities ({error})") from error
        top = _first_token(next(iter(outputs), None))
        if len(top) < LISTED:
            raise self._unfit(f"returned {len(top)} log-probabilities for its first token")
        return l3score_from_logprobs(top)

    def _unfit(self, what: str) -> PLDError:
        return PLDError(
            f"The judge {self.judge.model} {what}, but L3Score needs {LISTED}: choose a chat model and a server that "
            "return top_logprobs."
        )


def l3score_from_logprobs(top: Sequence[tuple[str, float]]) -> float:
    """The share of "yes" in the probability of "yes" and "no", by the published rule (arXiv:2407.09413).

    Case and surrounding spaces do not count; "yeah" is a yes; of several that match, the likeliest counts. Where only
    one of yes and no is listed, the other gets the probability of the least likely token listed or all that the listed
    ones leave over, whichever is less, but no less than 1e-8. Where neither is listed, the score is 0.

    Args:
        top: what the judge's first token could have been: up to five pairs (token, natural logarithm of its
            probability), in any order; of more, the five likeliest count.

    Raises:
        PLDError: nothing is listed, or an entry is no such pair.
    """
    listed = sorted(map(_checked, top), key=lambda pair: -pair[1])[:LISTED]
    if not listed:
        raise PLDError("L3Score needs the log-probability of at least one token.")
    yes = next((logprob for token, logprob in listed if token in _YES), None)
    no = next((logprob for token, logprob in listed if token in _NO), None)
    if yes is None and no is None:
        return 0.0
    probabilities = [math.exp(logprob) for _, logprob in listed]
    unlisted = math.log(max(min(probabilities[-1], 1 - math.fsum(probabilities)), _LEAST))
    lead = (unlisted if yes is None else yes) - (unlisted if no is None else no)
    odds = math.exp(-abs(lead))  # never of a positive number, which could overflow
    return 1 / (1 + odds) if lead >= 0 else odds / (1 + odds)


def _checked(entry: Any) -> tuple[str, float]:
    match entry:
        case (str(token), float() | int() as logprob) if -math.inf < logprob <= _ROUNDING:
            return token.strip().lower(), logprob
    raise PLDError(f"L3Score needs pairs of a token and a finite log-probability of 0 or less, not {entry!r}.")


def _first_token(output: Any) -> list[tuple[str, float]]:
    # One shape from DSPy's own engine and custom ones, and from LiteLLM: {"logprobs": {"content": [token, ...]}}.
    content = _get(_get(output, "logprobs"), "content") or [None]
    return [(_get(token, "token"), _get(token, "logprob")) for token in _get(content[0], "top_logprobs") or ()]


def _get(thing: Any, name: str) -> Any:
    return thing.get(name) if isinstance(thing, dict) else getattr(thing, name, None)
