import dspy

from pld_dspy import PLDTeleprompter
from pld_dspy.datasets import load
from pld_dspy.evaluation import Evaluator
from pld_dspy.plan import plan
from pld_dspy.runner import Runner
from programs import SPIQA, ScienceQA


def task(make, **sizes):
    return {split: load(make.dataset, split, limit=size) for split, size in sizes.items()}


def test_a_plan_calls_no_model_and_a_real_compile_stays_below(rehearsal):
    for make in (ScienceQA, SPIQA):
        examples, student = task(make, train=30, val=20, test=20), make()
        names = {"teacher": rehearsal.model, "student": rehearsal.model}
        with dspy.context(lm=None):
            planned = plan(student, examples, names, max_rule_tokens=2000, max_iterations=2, num_candidates=3)
        compiled = PLDTeleprompter(max_iterations=2).compile(
            student, trainset=examples["train"], valset=examples["val"]
        )
        runner = Runner(2)
        for program in (student, compiled):
            Evaluator(make.metric, runner)(program, examples["test"], "testing")
        used = compiled.pld.usage["student"] + runner.student.total()
        for bound, real in ((planned.student, used), (planned.teacher, compiled.pld.usage["teacher"])):
            assert 0 < real.calls <= bound.calls
            assert 0 < real.prompt_tokens <= bound.prompt_tokens
            assert 0 < real.completion_tokens <= bound.completion_tokens


def test_more_data_and_rounds_cost_more_and_a_known_model_has_a_price():
    examples = task(ScienceQA, train=20, val=10, test=10)
    names = {"teacher": "openai/gpt-4o", "student": "openai/gpt-4o-mini"}
    small = plan(ScienceQA(), examples, names, max_rule_tokens=500, max_iterations=0, num_candidates=1)
    large = plan(ScienceQA(), examples, names, max_rule_tokens=500, max_iterations=2, num_candidates=3)
    assert small.teacher.calls == 2 * 20 + 10  # a refused rule is written once more
    assert small.student.calls == 2 * (10 + 10)
    assert large.teacher.calls > small.teacher.calls
    assert large.student.cost_usd > small.student.cost_usd > 0
