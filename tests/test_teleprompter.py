import json
from pathlib import Path
from typing import NamedTuple

import dspy
import pytest
from dspy.lm15 import TransportError
from scripted import examples, scripted
from sklearn.cluster import DBSCAN

from pld_dspy import PLDError, PLDTeleprompter, Teacher
from pld_dspy.datasets import load
from pld_dspy.programs import SPIQA, ScienceQA
from pld_dspy.rehearsal import rehearsal_lm
from pld_dspy.resolution import Resolution
from pld_dspy.run import Budget
from pld_dspy.run.runner import Runner
from pld_dspy.student.evaluation import Evaluator

GOOD = "If the question asks whether something is a number, say yes to it."


def score(program, tests):
    return Evaluator(program.metric, Runner(2))(program, tests, "testing").score


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))])
@pytest.mark.parametrize("make", [ScienceQA, SPIQA])
def test_the_compiled_student_beats_the_student_and_the_rules_are_why(make, seed, tmp_path):
    tests = load(make.dataset, "test", limit=80, seed=seed)
    student = make()
    bare = student.dump_state()
    with dspy.context(lm=rehearsal_lm(seed)):
        before = score(student, tests)
        compiled = PLDTeleprompter(seed=seed, num_threads=2).compile(student)
        assert compiled is not student
        assert student.dump_state() == bare
        compiled.save(tmp_path / "program.json")
        loaded = make()
        loaded.load(tmp_path / "program.json")
        assert loaded.answer.signature.instructions.count("\n- ") == len(compiled.pld.rules["answer"]) >= 3
        after = score(compiled, tests)
        assert after - before >= 0.25
        for predictor, original in zip(compiled.predictors(), student.predictors(), strict=True):
            assert predictor.signature.instructions.startswith(original.signature.instructions)
            predictor.signature = original.signature
        assert score(compiled, tests) == before
    assert compiled.pld.validation["compiled"] >= compiled.pld.validation["clustered"]


class Run(NamedTuple):
    """A compile on the sample: what it returned, its folder and the requests in their order."""

    compiled: dspy.Module
    folder: Path
    requests: list


def compile_sample(folder, threads=1, dies_at=None):
    lm, requests = rehearsal_lm(seed=5), []
    complete = lm.engine.complete

    def counted(request):
        requests.append(request)
        if len(requests) == dies_at:
            raise KeyboardInterrupt
        return complete(request)

    lm.engine.complete = counted
    train, val = load("scienceqa", "train", limit=30), load("scienceqa", "val", limit=12)
    with dspy.context(lm=lm):
        teleprompter = PLDTeleprompter(seed=5, num_threads=threads, log_dir=folder)
        return Run(teleprompter.compile(ScienceQA(), trainset=train, valset=val), folder, requests)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return compile_sample(tmp_path_factory.mktemp("finished") / "run")


def test_equal_seeds_compile_equal_programs(finished):
    assert compile_sample(None, threads=3).compiled.dump_state() == finished.compiled.dump_state()


def test_nothing_is_asked_twice(finished):
    assert len(finished.requests) == len({str(request) for request in finished.requests}) > 80


def world(prompt):
    """A teacher of one rule, and a student that says yes when it has read it."""
    if "rule" in prompt.outputs:
        return {"rule": GOOD, "reasoning": "Because.", "question_kind": "numbers"}
    if "edits" in prompt.outputs:
        return {"edits": "[]", "reasoning": "Nothing."}
    return dict.fromkeys(prompt.outputs, "yes" if GOOD in prompt.system else "no")


class TwoSteps(dspy.Module):
    def __init__(self):
        super().__init__()
        self.think = dspy.Predict("question -> thought")
        self.decide = dspy.ChainOfThought("question, thought -> answer")

    def forward(self, question):
        return self.decide(question=question, thought=self.think(question=question).thought)


def test_any_module_compiles_with_exact_match_and_a_valset_of_its_own():
    student = TwoSteps()
    with dspy.context(lm=scripted(world)):
        compiled = PLDTeleprompter(num_threads=1, budget=Budget(max_iterations=1)).compile(
            student, trainset=examples(9)
        )
    assert list(compiled.pld.rules) == ["decide.predict"], "only the predictor whose outputs are labelled"
    assert compiled.pld.rules["decide.predict"].rules[0].support == 6
    assert compiled.pld.validation == {"student": 0.0, "clustered": 1.0, "compiled": 1.0}
    assert compiled.think.signature == student.think.signature


def answers_match(example, prediction):
    return prediction.answer == example.answer


def test_a_predictor_without_labels_learns_from_what_the_teacher_did_in_it():
    asked = []

    def teach(prompt):
        asked.append(prompt)
        return world(prompt) if "task" in prompt.fields else dict.fromkeys(prompt.outputs, "yes")

    with dspy.context(lm=scripted(world)):
        compiled = PLDTeleprompter(
            answers_match, teacher_lm=scripted(teach), num_threads=1, resolution=Resolution(prune=False)
        ).compile(TwoSteps(), trainset=examples(4), valset=examples(4))
    assert set(compiled.pld.rules) == {"think", "decide.predict"}
    lessons = [prompt.fields for prompt in asked if "rule" in prompt.outputs]
    thinking, deciding = (
        [fields for fields in lessons if made in fields["task"]] for made in ("`thought`.", "`answer`.")
    )
    assert [fields["example"] for fields in thinking] == [f"question: Is {i} a number?" for i in range(4)]
    assert {fields["answer"] for fields in thinking} == {"yes"}, "its own output, not the program's label"
    assert all("thought: yes" in fields["example"] for fields in deciding), "its own inputs"


def test_every_predictor_with_labels_learns():
    trainset = [example.copy(thought="yes") for example in examples(4)]
    with dspy.context(lm=scripted(world)):
        compiled = PLDTeleprompter(answers_match, resolution=Resolution(prune=False)).compile(
            TwoSteps(), trainset=trainset, valset=trainset
        )
    assert set(compiled.pld.rules) == {"think", "decide.predict"}
    assert GOOD in compiled.think.signature.instructions


def test_the_teacher_is_asked_on_its_own_model():
    teacher, student = scripted(world), scripted(world)
    with dspy.context(lm=student):
        compiled = PLDTeleprompter(teacher_lm=teacher).compile(dspy.Predict("question -> answer"), trainset=examples(6))
    assert all("rule" in prompt.outputs or "edits" in prompt.outputs for prompt in teacher.engine.prompts)
    assert all(prompt.outputs == ["answer"] for prompt in student.engine.prompts)
    assert compiled.pld.usage["teacher"].calls == len(teacher.engine.prompts)
    assert compiled.pld.usage["student"].calls == len(student.engine.prompts)


def test_a_scikit_learn_estimator_and_another_embedder_may_be_passed():
    seen = []

    def embedder(texts):
        seen.extend(texts)
        return [[1.0, float(i)] for i, _ in enumerate(texts)]

    with dspy.context(lm=scripted(world)):
        compiled = PLDTeleprompter(embedder=embedder, clustering=DBSCAN(eps=0.0001, min_samples=1)).compile(
            dspy.Predict("question -> answer"), trainset=examples(6)
        )
    assert seen[:4] == [GOOD] * 4
    assert {*seen} == {GOOD}
    assert len(compiled.pld.candidates[0].rules["self"]) == 4, "vectors that differ stay apart, whatever the texts say"


def test_a_run_goes_on_where_it_was_stopped(finished, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        compile_sample(tmp_path / "run", dies_at=30)
    assert json.loads((tmp_path / "run/run.json").read_text())["status"] == "stopped"
    again = compile_sample(tmp_path / "run")
    assert again.compiled.dump_state() == finished.compiled.dump_state()
    assert 29 + len(again.requests) == len(finished.requests), "only the interrupted call was made again"
    assert again.compiled.pld.usage["teacher"].calls == finished.compiled.pld.usage["teacher"].calls
    assert json.loads((tmp_path / "run/run.json").read_text())["status"] == "finished"


def test_a_run_is_not_taken_up_with_other_prompts_or_settings(tmp_path):
    def run(lm, teacher=None, **settings):
        with dspy.context(lm=lm):
            return PLDTeleprompter(log_dir=tmp_path / "run", **settings).compile(
                dspy.Predict("question -> answer"), trainset=examples(6), teacher=teacher
            )

    run(scripted(world))
    other = Teacher()
    other.extract.demos = []
    warm = scripted(world).copy(temperature=0.7)
    for lm, settings, says in (
        (scripted(world), {"teacher": other}, "another teacher_prompts"),
        (warm, {}, "another student, teacher"),
        (scripted(world), {"max_rule_tokens": 5}, "another max_rule_tokens"),
        (scripted(world), {"metric": lambda example, prediction: 0.5}, "another metric"),
    ):
        with pytest.raises(PLDError, match=says):
            run(lm, **settings)
    run(scripted(world), budget=Budget(max_lm_calls=1000))


def test_the_run_folder_has_what_a_person_wants_to_read(finished):
    run = finished.folder
    names = {path.name for path in run.iterdir()}
    assert names >= {"run.json", "micro_rules.jsonl", "clusters.json", "rules", "evaluations.jsonl", "prompt.md"}
    assert "report.html" not in names, "that is the command's"
    assert not [path for path in run.rglob("*") if path.suffix in {".part", ".pkl"}]
    latest = json.loads(sorted((run / "rules").iterdir())[-1].read_text())["answer"]["rules"]
    prompt = (run / "prompt.md").read_text()
    assert all(f"- {rule['text']}" in prompt for rule in latest)
    clustered = json.loads((run / "clusters.json").read_text())["answer"]["clusters"]
    micro_rules = (run / "micro_rules.jsonl").read_text().splitlines()
    assert sum(map(len, clustered.values())) == len(micro_rules) <= 30


@pytest.mark.parametrize("cap", [1, 20, 40, 75, 130])
def test_a_budget_returns_the_best_so_far_and_is_kept(cap):
    with dspy.context(lm=rehearsal_lm()):
        compiled = PLDTeleprompter(budget=Budget(max_lm_calls=cap), num_threads=1).compile(
            ScienceQA(), trainset=load("scienceqa", "train", limit=30), valset=load("scienceqa", "val", limit=20)
        )
    assert compiled.pld.budget_spent
    assert sum(usage.calls for usage in compiled.pld.usage.values()) <= cap + 1  # a refused rule is written twice
    ruled = any(map(len, compiled.pld.rules.values()))
    assert ruled == ("clustered" in compiled.pld.validation) == (cap > 75), "only validated rules"


def test_objects_of_another_kind_are_named():
    with dspy.context(lm=scripted(world)):
        with pytest.raises(PLDError, match="resolution is a"):
            PLDTeleprompter(resolution="significant").compile(dspy.Predict("question -> answer"), trainset=examples(5))
        with pytest.raises(PLDError, match="The teacher is a"):
            PLDTeleprompter().compile(dspy.Predict("question -> answer"), trainset=examples(5), teacher=5)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"trainset": []}, "training set is empty"),
        ({"trainset": examples(5), "valset": []}, "validation set is empty"),
        ({"trainset": examples(2)}, "too few"),
        ({"trainset": [example.without("answer", "id") for example in examples(5)]}, "no labels"),
        ({}, "declares no sample"),
    ],
)
def test_data_that_teach_nothing_are_refused_before_any_call(settings, says, tmp_path):
    lm = scripted(world)
    with dspy.context(lm=lm), pytest.raises(PLDError, match=says):
        PLDTeleprompter(log_dir=tmp_path / "run").compile(dspy.Predict("question -> answer"), **settings)
    assert lm.engine.prompts == []
    assert not (tmp_path / "run").exists()


def test_a_student_without_a_model_is_told_so():
    with dspy.context(lm=None), pytest.raises(PLDError, match="no language model"):
        PLDTeleprompter().compile(dspy.Predict("question -> answer"), trainset=examples(5))


def test_a_cost_cap_needs_a_price():
    with dspy.context(lm=scripted(world)), pytest.raises(PLDError, match="no price"):
        PLDTeleprompter(budget=Budget(max_cost=1.0)).compile(dspy.Predict("question -> answer"), trainset=examples(5))


def test_a_model_that_does_not_answer_leaves_nothing_behind(tmp_path):
    def script(prompt):
        raise TransportError("connection refused")

    with dspy.context(lm=scripted(script)), pytest.raises(PLDError, match="does not answer"):
        PLDTeleprompter(log_dir=tmp_path / "run").compile(dspy.Predict("question -> answer"), trainset=examples(5))
    assert not (tmp_path / "run").exists()


def test_a_metric_that_raises_is_named(tmp_path):
    def strict(example, prediction):
        raise KeyError("unit")

    with dspy.context(lm=scripted(world)), pytest.raises(PLDError, match="metric strict failed on example q"):
        PLDTeleprompter(strict, log_dir=tmp_path / "run").compile(
            dspy.Predict("question -> answer"), trainset=examples(5)
        )
    assert json.loads((tmp_path / "run/run.json").read_text())["usage"].keys() == {"student"}, "no teacher was paid"


def test_a_teacher_that_writes_nothing_usable_is_an_error_and_the_first_answer_is_kept(tmp_path):
    def script(prompt):
        return dict.fromkeys(prompt.outputs, "?")

    with dspy.context(lm=scripted(script)), pytest.raises(PLDError, match="no usable rule"):
        PLDTeleprompter(log_dir=tmp_path / "run").compile(dspy.Predict("question -> answer"), trainset=examples(6))
    state = json.loads((tmp_path / "run/run.json").read_text())
    assert state["status"].startswith("failed: The teacher wrote no usable rule")
    assert len((tmp_path / "run/evaluations.jsonl").read_text().splitlines()) == 1
    assert not (tmp_path / "run/program.json").exists()
