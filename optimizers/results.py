"""What a comparison finds out: a line of results.jsonl for each optimizer and seed, and what all lines come to."""

from statistics import fmean
from typing import Any

from pydantic import BaseModel, Field

from pld_dspy.run import Usage


class RoleUsage(Usage):
    """What one model was asked for, and how long it took."""

    seconds: float = 0.0  # summed over calls, also those side by side
    failed: int = 0  # calls that failed after all retries, also those beyond a model's context

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


class PerQuestion(BaseModel):
    """What production pays for every question that the compiled program answers, means over the test questions."""

    calls: float
    prompt_tokens: float
    completion_tokens: float
    images: float
    seconds: float  # that the model took for a question's calls, beside `num_threads` others
    cost_usd: float | None  # None where LiteLLM knows no price
    cacheable: float  # share of the prompts that is the same in all questions from the start, which providers can cache


class GroupScore(BaseModel):
    """The score on test questions of one kind."""

    n: int
    score: float


class Result(BaseModel):
    """One optimizer with one seed: a line of results.jsonl."""

    optimizer: str
    title: str
    seed: int
    score: float  # a fraction, on the test split
    n: int  # test questions
    errors: int  # of them that the model refused or answered unreadably
    settings: str
    program: str  # fingerprint of the compiled program
    capped: bool  # whether the cap on calls was reached while it was compiled
    compile: dict[str, RoleUsage]  # by role: teacher, student
    seconds: float  # of compiling, by the clock, with what an interrupted run had taken
    num_threads: int  # calls side by side
    question: PerQuestion
    groups: dict[str, GroupScore]  # the benchmark's table


class PairedTest(BaseModel):
    """A paired comparison with another optimizer on the same questions."""

    difference: float  # of the scores, in favour of the row's optimizer
    low: float  # 95% bootstrap interval of the difference
    high: float
    better: int  # questions on which it scores higher
    worse: int
    p_value: float  # of no difference
    p_holm: float  # corrected for all tests of the table against the same optimizer


class Row(BaseModel):
    """One optimizer over all its seeds: a row of the table."""

    optimizer: str
    title: str
    settings: str
    why_not: str = ""  # why seeds are missing, where it could not run
    results: list[Result]  # by seed
    scores: dict[int, list[float]] = Field({}, exclude=True)  # by seed: of each test question, in the same order
    score: float | None = None  # mean over seeds; None where it never ran
    low: float | None = None  # 95% bootstrap interval over the questions; None where all score the same
    high: float | None = None
    vs_baseline: PairedTest | None = None
    vs_method: PairedTest | None = None
    on_front: bool = False  # of score against tokens a question: no other row is as good in both and better in one

    def mean(self, *path: str) -> float | None:
        """The mean over the seeds of a figure of `Result`, as `mean("compile", "teacher", "calls")`.

        None where the row never ran, or where a seed's figure is not known.
        """
        values: list[Any] = list(self.results)
        for name in path:
            known = [value for value in values if value is not None]
            values = [value.get(name) if isinstance(value, dict) else getattr(value, name) for value in known]
        return fmean(values) if values and None not in values else None


class Comparison(BaseModel):
    """Everything that a comparison found out, for its table and its page."""

    program: str
    data: str
    modality: str
    models: dict[str, str]  # by role
    n: dict[str, int]  # examples by split
    seeds: list[int]
    num_threads: list[int]  # that were used
    max_lm_calls: int
    described: Usage | None = None  # what describing the figures took, once and for all of them
    rows: list[Row]

    @property
    def roles(self) -> list[str]:
        """The models that any optimizer asked while it compiled."""
        return list(dict.fromkeys(role for row in self.rows for result in row.results for role in result.compile))

    @property
    def groups(self) -> dict[str, int]:
        """All kinds of questions, and how many of each there are."""
        results = (result for row in self.rows for result in row.results)
        return {name: group.n for result in results for name, group in result.groups.items()}


class PredictorPrompt(BaseModel):
    """What a compiled program tells one of its predictors before every question."""

    predictor: str
    instructions: str
    demonstrations: list[str]  # as text
    images: int  # in the demonstrations


class ProgramPrompts(BaseModel):
    """The prompts of one optimizer's program: told.json."""

    optimizer: str  # name
    seed: int
    prompts: list[PredictorPrompt]
