import itertools
import logging
import random
import re
import sys

import dspy
import numpy as np
import pytest
from dspy.lm15 import ContextLengthError, InvalidRequestError, RateLimitError
from scripted import ScriptedEngine, examples

from pld_dspy.errors import PLDError
from pld_dspy.experiment import Task
from pld_dspy.identity import program_fingerprint
from pld_dspy.optimizers.registry import CannotRun, Job, Optimizer
from pld_dspy.optimizers.unit import read_answers, read_prompts, run_unit, unit_folder


def task() -> Task:
    labelled = examples(12)
    splits = {"train": labelled[:6], "val": labelled[6:8], "test": labelled[8:]}
    return Task("asking", "nowhere", dspy.Predict("question -> answer"), splits)


def says(answer="yes", engine=None, cache=False):
    """A model that gives that answer."""
    engine = engine or ScriptedEngine(lambda prompt: {"answer": answer})
    return dspy.LM("scripted", engine=engine, cache=cache, num_retries=0)


def told(job, instructions="Say yes."):
    """The student, with other instructions."""
    program = job.student.deepcopy()
    program.signature = program.signature.with_instructions(instructions)
    return program


def asking(job):
    """An optimizer that asks both models about the training examples."""
    for example in job.trainset:
        job.student(**example.inputs())
        job.teacher_lm(example.question)
    return told(job)


def run(folder, compile=told, name="told", seed=0, student=None, teacher=None, cap=100):
    """The unit's folder and its result."""
    asked, unit = task(), unit_folder(folder, name, seed)
    models = student or says(), teacher or says("hm")
    splits = asked.examples["train"], asked.examples["val"]
    job = Job(asked.program, *splits, asked.metric, *models, seed, num_threads=1, max_lm_calls=cap, folder=unit)
    return unit, run_unit(name, Optimizer("Told", "None.", compile), job, asked, lambda phase, count: None)


def test_a_unit_compiles_tests_and_leaves_its_files(tmp_path):
    unit, result = run(tmp_path, asking)
    assert (result.optimizer, result.seed, result.score, result.n, result.errors) == ("told", 0, 1.0, 4, 0)
    assert {role: used.calls for role, used in result.compile.items()} == {"student": 6, "teacher": 6}
    assert result.question.calls == 1.0
    assert result.question.completion_tokens == 7.0
    assert not result.capped
    files = {path.name for path in unit.iterdir()}
    assert {"calls.jsonl", "answers.jsonl", "told.json", "program.json", "log.txt"} <= files
    assert [answer.score for answer in read_answers(unit, 4)] == [1.0] * 4
    assert read_prompts(unit).prompts[0].instructions == "Say yes."


def test_the_program_that_it_writes_loads(tmp_path):
    unit, result = run(tmp_path)
    loaded = task().program
    loaded.load(unit / "program.json")
    assert program_fingerprint(loaded) == result.program


def test_the_seed_orders_the_training_examples_the_same_for_all(tmp_path):
    orders = {}

    def keep(job):
        orders[job.folder.parent.name] = [example.id for example in job.trainset]
        return told(job)

    for name, seed in (("a", 0), ("b", 0), ("a", 1)):
        run(tmp_path, keep, name, seed)
    assert orders["a-0"] == orders["b-0"] != orders["a-1"]
    assert sorted(orders["a-0"]) == sorted(orders["a-1"]) == [f"q{i}" for i in range(6)]


def test_optimizers_that_draw_from_the_shared_generators_draw_the_same_again(tmp_path):
    drawn = []

    def drawing(job):
        drawn.append((random.random(), np.random.random()))
        return told(job)

    for seed in (0, 0, 1):
        run(tmp_path, drawing, seed=seed)
        random.random(), np.random.random()
    assert drawn[0] == drawn[1]
    assert drawn[0][0] != drawn[2][0]
    assert drawn[0][1] != drawn[2][1]


def test_programs_are_tested_with_the_student_whatever_model_they_hold(tmp_path):
    def with_own_model(job):
        program = told(job)
        program.set_lm(says("no"))
        return program

    assert run(tmp_path, with_own_model)[1].score == 1.0


def test_dspys_cache_is_cold_and_comes_back(tmp_path):
    before, engine = dspy.cache, ScriptedEngine(lambda prompt: {"answer": "yes"})
    for name in "ab":
        run(tmp_path, asking, name, student=says(engine=engine, cache=True), teacher=says("hm", cache=True))
    assert len(engine.prompts) == 2 * (6 + 4)
    assert dspy.cache is before


def test_what_it_prints_goes_to_a_file_also_afterwards(tmp_path, capsys):
    log = logging.getLogger("test_unit.noisy")
    log.propagate = False

    def noisy(job):
        print("printed")
        log.addHandler(logging.StreamHandler(sys.stderr))  # which keeps the stream
        log.warning("logged")
        return told(job)

    unit, _ = run(tmp_path, noisy)
    assert (unit / "log.txt").read_text() == "printed\nlogged\n"
    assert capsys.readouterr() == ("", "")
    log.warning("later")
    assert capsys.readouterr().err == "later\n"


def test_what_an_interrupted_optimizer_goes_on_to_print_is_not_seen(tmp_path, capsys):
    streams = []

    def interrupted(job):
        streams.append(sys.stderr)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, interrupted)
    print("a bar", file=streams[0])
    assert capsys.readouterr() == ("", "")


def test_an_optimizer_that_fails_says_why(tmp_path):
    def failing(job):
        raise ValueError("no demonstrations\n at all")

    with pytest.raises(CannotRun, match="ended with ValueError: no demonstrations at all"):
        run(tmp_path, failing)

    def refusing(job):
        raise CannotRun("It needs 32 examples.")

    with pytest.raises(CannotRun, match="It needs 32 examples"):
        run(tmp_path, refusing)
    assert "Traceback" in (tmp_path / "units/told-0/log.txt").read_text()


@pytest.mark.parametrize("returned", [None, "a program", dspy.Module])
def test_what_is_no_program_says_so(tmp_path, returned):
    with pytest.raises(CannotRun, match="which is no program"):
        run(tmp_path, lambda job: returned)


def test_an_optimizer_that_leaves_the_process_or_returns_a_broken_program_says_why(tmp_path):
    with pytest.raises(CannotRun, match="SystemExit: 3"):
        run(tmp_path, lambda job: sys.exit(3))

    class Broken(dspy.Module):
        def forward(self, question):
            raise KeyError("nothing")

    with pytest.raises(CannotRun, match=r"Its program failed: Not one of the first \d replies .* KeyError: 'nothing'"):
        run(tmp_path, lambda job: Broken())


def test_calls_of_a_compile_without_a_program_are_told(tmp_path):
    def failing(job):
        asking(job)
        raise ValueError("after all")

    with pytest.raises(CannotRun, match=r"ValueError: after all 12 calls had been made\."):
        run(tmp_path, failing)


def test_a_failure_that_may_pass_is_no_answer(tmp_path):
    times = itertools.count()

    def limited(prompt):
        if next(times) in busy:
            raise RateLimitError("slow down")
        return {"answer": "yes"}

    busy = {2, 4, 5}  # the third question, whenever it is asked
    engine = ScriptedEngine(limited)
    with pytest.raises(PLDError, match=r"failed while it was tested, on example \S+: .*slow down"):
        run(tmp_path, student=says(engine=engine, cache=True), teacher=says(cache=True))
    assert run(tmp_path, student=says(engine=engine, cache=True), teacher=says(cache=True))[1].score == 1.0
    assert len(engine.prompts) == 4 + 2 + 1


def test_a_question_that_never_gets_a_reply_is_named_and_not_scored(tmp_path):
    def choosy(prompt):
        if "9" in prompt.fields["question"]:
            raise InvalidRequestError("not this one")
        return {"answer": "yes"}

    with pytest.raises(PLDError, match=r"failed while it was tested, on example \S+: .*not this one"):
        run(tmp_path, student=says(engine=ScriptedEngine(choosy)))


def test_an_input_that_the_model_refuses_is_a_wrong_answer(tmp_path):
    def forgetful(prompt):
        if "9" in prompt.fields["question"]:
            raise ContextLengthError("too long")
        return {"answer": "yes"}

    _, result = run(tmp_path, student=says(engine=ScriptedEngine(forgetful)))
    assert (result.score, result.errors) == (0.75, 1)


def test_at_the_cap_an_optimizer_returns_what_it_has_or_says_that_it_has_nothing(tmp_path):
    def persistent(job):
        return dspy.BootstrapFewShot(metric=lambda *_: False).compile(job.student, trainset=job.trainset)

    assert run(tmp_path, persistent, cap=3)[1].capped
    with pytest.raises(CannotRun, match="no program when the cap of 3 calls"):
        run(tmp_path, asking, cap=3)


def test_a_model_that_does_not_answer_ends_everything_although_optimizers_swallow_it(tmp_path):
    from dspy.lm15 import AuthError

    def locked(prompt):
        raise AuthError("no such key")

    def swallowing(job):
        dspy.Evaluate(devset=job.valset, metric=job.metric)(job.student)
        return told(job)

    with pytest.raises(PLDError, match=r"does not answer.*no such key") as caught:
        run(tmp_path, swallowing, student=says(engine=ScriptedEngine(locked)))
    assert not isinstance(caught.value, CannotRun)
    with pytest.raises(PLDError, match="does not answer"):
        run(tmp_path, student=says(engine=ScriptedEngine(locked)))


@pytest.mark.parametrize("cache", [True, False])
@pytest.mark.parametrize("after", [3, 8, 14])
def test_an_interrupted_unit_comes_to_the_same_as_another(tmp_path, after, cache):
    """Interrupted while it compiles (3, 8 of 12 calls) and while it is tested (14)."""
    asked = []

    def interrupted(prompt):
        asked.append(prompt)
        if len(asked) == after + 1:
            raise KeyboardInterrupt
        return {"answer": "yes"}

    def models(script):
        engine = ScriptedEngine(script)
        return {"student": says(engine=engine, cache=cache), "teacher": says(engine=engine, cache=cache)}

    _, whole = run(tmp_path / "whole", asking, **models(lambda prompt: {"answer": "yes"}))
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "killed", asking, **models(interrupted))
    resumed_from = len(asked)
    _, resumed = run(tmp_path / "killed", asking, **models(interrupted))
    assert timeless(resumed) == timeless(whole)
    assert len(asked) - resumed_from == (16 - after if cache else 16)


def test_the_seconds_of_an_interrupted_compile_are_in_those_of_the_whole(tmp_path):
    models = {"student": says(cache=True), "teacher": says(cache=True)}
    unit, result = run(tmp_path, asking, **models)
    assert result.seconds < 60
    path = unit / "calls.jsonl"
    path.write_text(re.sub(r'"at":[0-9.]+', '"at":500.0', path.read_text()))
    _, resumed = run(tmp_path, asking, **models)
    assert 500 <= resumed.seconds < 560


def timeless(result):
    """A result without what no two runs have in common."""
    found = result.model_dump()
    for of in (found, found["question"], *found["compile"].values()):
        del of["seconds"]
    return found


def test_a_program_that_cannot_be_saved_is_not_tested(tmp_path):
    def hoarding(job):
        program = told(job)
        program.demos = [{"question": object()}]
        return program

    with pytest.raises(CannotRun, match="It ended with"):
        run(tmp_path, hoarding)
    assert not (tmp_path / "units/told-0/answers.jsonl").exists()
