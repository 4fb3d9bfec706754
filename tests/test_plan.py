import dspy

from pld_dspy import PLDTeleprompter
from pld_dspy.datasets import load
from pld_dspy.experiment import Task
from pld_dspy.experiment.plan import plan
from pld_dspy.programs import SPIQA, ScienceQA
from pld_dspy.resolution import Resolution
from pld_dspy.run import Budget, Runner
from pld_dspy.student import Evaluator


def task(make, **sizes):
    examples = {split: load(make.dataset, split, limit=size) for split, size in sizes.items()}
    return Task(make.dataset, "sample", make(), examples)


def test_a_plan_calls_no_model_and_a_real_compile_stays_below(rehearsal):
    for make in (ScienceQA, SPIQA):
        sample = task(make, train=30, val=20, test=20)
        student, examples = sample.program, sample.examples
        names = {"teacher": rehearsal.model, "student": rehearsal.model}
        with dspy.context(lm=None):
            planned = plan(sample, names, 2000, Budget(max_iterations=2), Resolution())
        compiled = PLDTeleprompter(budget=Budget(max_iterations=2)).compile(
            student, trainset=examples["train"], valset=examples["val"]
        )
        runner = Runner(2)
        for program in (student, compiled):
            Evaluator(make.metric, runner)(program, examples["test"], "testing")
        used = compiled.pld.usage["student"] + runner.meter("student").total()
        for bound, real in ((planned.student, used), (planned.teacher, compiled.pld.usage["teacher"])):
            assert 0 < real.calls <= bound.calls
            assert 0 < real.prompt_tokens <= bound.prompt_tokens
            assert 0 < real.completion_tokens <= bound.completion_tokens


def test_more_data_and_rounds_cost_more_and_a_known_model_has_a_price():
    sample = task(ScienceQA, train=20, val=10, test=10)
    names = {"teacher": "openai/gpt-4o", "student": "openai/gpt-4o-mini"}
    small = plan(sample, names, 500, Budget(max_iterations=0, num_candidates=1), Resolution(prune=False))
    large = plan(sample, names, 500, Budget(max_iterations=2), Resolution())
    assert small.teacher.calls == 2 * 20 + 10  # a refused rule is written once more
    assert small.student.calls == 2 * (10 + 10)
    assert large.teacher.calls > small.teacher.calls
    assert large.student.cost_usd > small.student.cost_usd > 0


def test_a_cap_on_the_calls_bounds_all_but_the_test():
    sample = task(ScienceQA, train=20, val=10, test=10)
    names = {"teacher": "openai/gpt-4o", "student": "openai/gpt-4o-mini"}
    capped = plan(sample, names, 500, Budget(max_lm_calls=100), Resolution())
    assert capped.student.calls == 100 + 2 * 10
    assert 20 < capped.teacher.calls <= 100


def test_without_a_teachers_model_nothing_is_planned_for_it():
    sample = task(ScienceQA, train=20, val=10, test=10)
    planned = plan(
        sample,
        {"teacher": "", "student": "openai/gpt-4o-mini"},
        500,
        Budget(),
        Resolution(),
        ["rationales"],
    )
    assert planned.teacher.calls == 0
    assert planned.student.calls > 2 * (10 + 10)
