import hashlib
import itertools
import json
import threading

import dspy
import numpy as np
import pytest
from dspy.lm15 import ContextLengthError
from PIL import Image
from scripted import examples, scripted

from pld_dspy.experiment import load_task
from pld_dspy.identity import program_fingerprint
from pld_dspy.optimizers import dspy_own
from pld_dspy.optimizers.registry import CannotRun, Job, Optimizer
from pld_dspy.rehearsal import rehearsal_lm
from pld_dspy.rehearsal.prompt import read_prompt
from pld_dspy.student import exact_match, in_words

ALL = [name for name, value in vars(dspy_own).items() if isinstance(value, Optimizer)]
SIZED = ["COPRO", "INFER_RULES", "SIMBA", "GEPA"]
PROPOSALS = {  # what the teacher is asked for, other than to answer
    "MIPRO_ZERO_SHOT": "proposed_instruction",
    "MIPRO_FEW_SHOT": "proposed_instruction",
    "COPRO": "proposed_instruction",
    "INFER_RULES": "natural_language_rules",
    "SIMBA": "module_advice",
    "GEPA": "new_instruction",
}
BOOTSTRAPPING = [name for name in ALL if name.startswith(("BOOTSTRAP", "MIPRO"))] + ["INFER_RULES", "SIMBA"]


def compiled(name, student, trainset, valset, metric, student_lm, teacher_lm, cap=10_000, seed=0, folder=None):
    job = Job(student, trainset, valset, metric, student_lm, teacher_lm, seed, 1, cap, folder)
    with dspy.context(lm=student_lm, max_errors=10**9):
        return getattr(dspy_own, name).compile(job)


class Listening:
    """The simulated models' engine, which keeps what it is asked."""

    def __init__(self, engine):
        self.engine, self.prompts, self._lock = engine, [], threading.Lock()

    def complete(self, request):
        with self._lock:
            self.prompts.append(read_prompt(request))
        return self.engine.complete(request)


def listening(name):
    return dspy.LM(name, engine=Listening(rehearsal_lm().engine), cache=False)


@pytest.fixture(scope="module", params=["scienceqa", "spiqa"])
def task(request):
    return load_task(request.param, "sample", {"train": 8, "val": 4, "test": 1}, seed=0)


def on_sample(name, task):
    student_lm, teacher_lm = listening("student"), listening("teacher")
    splits = task.examples["train"], task.examples["val"]
    program = compiled(name, task.program, *splits, task.metric, student_lm, teacher_lm, cap=400)
    return program, student_lm, teacher_lm


@pytest.mark.parametrize("name", ALL)
def test_an_optimizer_returns_a_program_like_the_student_and_leaves_the_student_alone(
    name, task, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    before = program_fingerprint(task.program)
    program, student_lm, teacher_lm = on_sample(name, task)
    assert program_fingerprint(task.program) == before
    assert list(tmp_path.iterdir()) == []
    assert type(program) is type(task.program)
    assert [name for name, _ in program.named_predictors()] == [name for name, _ in task.program.named_predictors()]
    assert vars(program).keys() == vars(task.program).keys()
    assert all(predictor.lm is None for predictor in program.predictors())
    with dspy.context(lm=rehearsal_lm(context=100_000)):
        assert program(**task.examples["test"][0].inputs()).answer
    program.save(tmp_path / "program.json")
    loaded = task.program.deepcopy()
    loaded.load(tmp_path / "program.json")
    assert program_fingerprint(loaded) == program_fingerprint(program)
    assert len(student_lm.engine.prompts) + len(teacher_lm.engine.prompts) <= 400 or name not in SIZED


def test_gepas_teacher_sees_the_pictures_and_the_right_answers(task):
    _, _, teacher_lm = on_sample("GEPA", task)
    prompts = [prompt for prompt in teacher_lm.engine.prompts if "new_instruction" in prompt.outputs]
    assert any(prompt.figures for prompt in prompts)
    golds = [f"Right answer: {in_words(task.program, each, each)}" for each in task.examples["train"]]
    assert all(any(gold in prompt.fields["examples_with_feedback"] for gold in golds) for prompt in prompts)


class Asking(dspy.Module):
    def __init__(self):
        super().__init__()
        self.ask = dspy.Predict("question -> answer")

    def forward(self, question):
        return self.ask(question=question)


def by_hash(prompt, *more):
    """Proposals and answers that depend on all of a prompt; advice makes more answers right."""
    digest = hashlib.sha256(f"{prompt.system}{sorted(prompt.fields.items())}{more}".encode()).hexdigest()
    values = dict.fromkeys(prompt.outputs, f"Mind {digest[:8]}.")
    return values | {
        "answer": "yes" if digest < ("d" if "Try" in prompt.system else "8") else "no",
        "module_advice": json.dumps({"ask": f"Try {digest}."}),
    }


def fickle():
    """A model that gives another answer when it is asked again."""
    times = itertools.count()
    return scripted(lambda prompt: by_hash(prompt, next(times)))


def on_questions(name, seed=0, n=12, cap=500, **models):
    student = Asking()
    models = {"student_lm": fickle(), "teacher_lm": scripted(by_hash), **models}
    return compiled(name, student, examples(n), examples(8), exact_match(student), **models, cap=cap, seed=seed)


@pytest.mark.parametrize("name", ALL)
def test_the_same_seed_gives_the_same_program(name):
    found = program_fingerprint(on_questions(name))
    assert program_fingerprint(on_questions(name)) == found
    assert (found == program_fingerprint(Asking())) == (name == "UNCOMPILED")


@pytest.mark.parametrize("name", ALL)
def test_the_teacher_writes_and_the_student_answers(name):
    student_lm, teacher_lm = fickle(), scripted(by_hash)
    on_questions(name, student_lm=student_lm, teacher_lm=teacher_lm)
    assert {output for prompt in student_lm.engine.prompts for output in prompt.outputs} <= {"answer"}
    written = {output for prompt in teacher_lm.engine.prompts for output in prompt.outputs}
    assert ("answer" in written) == (name in BOOTSTRAPPING)
    assert (PROPOSALS[name] in written) if name in PROPOSALS else (written <= {"answer"})


@pytest.mark.parametrize("name", ["MIPRO_ZERO_SHOT", "MIPRO_FEW_SHOT", "SIMBA", "GEPA"])
def test_other_seeds_give_other_programs_where_the_optimizer_takes_one(name):
    assert len({program_fingerprint(on_questions(name, seed)) for seed in range(3)}) > 1


@pytest.mark.parametrize("name", SIZED)
def test_an_optimizer_is_sized_to_the_cap_or_says_what_it_needs(name):
    student_lm, teacher_lm = fickle(), scripted(by_hash)
    on_questions(name, n=30, cap=800, student_lm=student_lm, teacher_lm=teacher_lm)
    assert 0 < len(student_lm.engine.prompts) + len(teacher_lm.engine.prompts) <= 800
    with pytest.raises(CannotRun, match=r"It needs about \d+ model calls .*, and the cap is 10: raise it\."):
        on_questions(name, cap=10)


@pytest.mark.parametrize("name", [name for name in ALL if name.startswith(("BOOTSTRAP", "MIPRO_FEW", "INFER"))])
def test_answers_below_a_half_become_no_demonstrations(name):
    student = Asking()
    splits = examples(12), examples(4)
    for score, bootstrapped in ((0.4, False), (0.6, True)):
        lms = scripted(by_hash), scripted(by_hash)
        program = compiled(name, student, *splits, lambda *_, score=score: score, *lms)
        prompts = [prompt for lm in lms for prompt in lm.engine.prompts]
        assert prompts
        found = any(demo.get("augmented") for demo in program.ask.demos)
        assert found == bootstrapped or (bootstrapped and name in ("BOOTSTRAP_RANDOM_SEARCH", "MIPRO_FEW_SHOT"))


def rules_by_number():
    """A teacher that writes rule 1, rule 2 and so on."""
    written = iter(range(1, 100))

    def teacher(prompt):
        if "natural_language_rules" in prompt.outputs:
            return {"natural_language_rules": f"Obey rule {next(written)}."}
        return {"answer": "yes"}

    return scripted(teacher)


def test_infer_rules_returns_its_best_rules_and_not_its_last():
    def student(prompt):
        return {"answer": "yes" if "Obey rule 3." in prompt.instructions else "no"}

    program = on_questions("INFER_RULES", student_lm=scripted(student), teacher_lm=rules_by_number())
    assert [line for line in program.ask.signature.instructions.splitlines() if "Obey" in line] == ["Obey rule 3."]


def test_infer_rules_shows_as_many_examples_as_fit_into_the_teachers_context():
    teacher_lm = rules_by_number()
    answer = teacher_lm.engine.script

    def forgetful(prompt):
        if prompt.fields.get("examples_text", "").count("question:") > 10:
            raise ContextLengthError("Too long.")
        return answer(prompt)

    teacher_lm.engine.script = forgetful
    program = on_questions("INFER_RULES", n=20, teacher_lm=teacher_lm)
    assert "Obey rule" in program.ask.signature.instructions
    texts = [prompt.fields["examples_text"] for prompt in teacher_lm.engine.prompts if "examples_text" in prompt.fields]
    assert [text.count("question:") for text in texts] == [20, 18, 16, 14, 12, *[10] * 10]

    def hopeless(prompt):
        raise ContextLengthError("Too long.")

    with pytest.raises(CannotRun, match="not one training example fits"):
        on_questions("INFER_RULES", teacher_lm=scripted(hopeless))


def test_simba_leaves_pictures_and_the_teachers_settings_whole():
    pixels = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    picture = dspy.Image(Image.fromarray(pixels))
    assert len(str(picture)) > 100_000  # from where SIMBA cuts

    class Looking(dspy.Module):
        def __init__(self):
            super().__init__()
            self.look = dspy.Predict(dspy.Signature("picture: dspy.Image, question -> answer"))

        def forward(self, picture, question):
            return self.look(picture=picture, question=question)

    trainset = [
        dspy.Example(picture=picture, question=each.question, answer="yes").with_inputs("picture", "question")
        for each in examples(8)
    ]
    student, teacher_lm, chance = Looking(), scripted(by_hash), itertools.cycle(["yes", "no", "no"])
    # Right with a second picture, which is a demonstration's, or by chance.
    student_lm = scripted(lambda prompt: {"answer": "yes" if prompt.tokens > 700 else next(chance)})
    program = compiled("SIMBA", student, trainset, trainset, exact_match(student), student_lm, teacher_lm, cap=400)
    assert program.look.demos
    assert all(isinstance(demo.picture, dspy.Image) for demo in program.look.demos)
    assert "rollout_id" not in teacher_lm.kwargs


def test_gepa_tells_the_explanation_that_came_with_the_data():
    student, teacher_lm = Asking(), scripted(by_hash)
    trainset = examples(8, solution="Numbers are numbers.")
    compiled("GEPA", student, trainset, examples(4), exact_match(student), scripted(by_hash), teacher_lm)
    told = [prompt.fields["examples_with_feedback"] for prompt in teacher_lm.engine.prompts]
    assert told
    assert all("Right answer: yes" in text and "Explanation: Numbers are numbers." in text for text in told)


@pytest.mark.parametrize("name", ALL)
def test_an_optimizer_says_what_it_is_run_with(name):
    optimizer = getattr(dspy_own, name)
    assert optimizer.title
    assert optimizer.settings.endswith(".")
