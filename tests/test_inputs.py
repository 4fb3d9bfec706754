"""Rows of data and programs of other kinds, as people have them."""

import asyncio
import datetime
import io
import json

import datasets
import dspy
import PIL.Image
import PIL.ImageDraw
import pytest
from loopback import served
from scripted import ScriptedEngine, examples, scripted

from pld_dspy import PLDError, PLDTeleprompter
from pld_dspy.clustering import tfidf
from pld_dspy.pictures import content_of, encode
from pld_dspy.run import Budget
from pld_dspy.student import answer, examples_of

STUDENT = dspy.Predict("question -> answer")
ROWS = [{"id": f"q{i}", "question": f"Is {i} a number?", "answer": "yes"} for i in range(9)]


def world(prompt):
    if "rule" in prompt.outputs:
        return {"rule": "If the question asks for a number, then say yes.", "reasoning": "So."}
    if "edits" in prompt.outputs:
        return {"edits": "[]", "reasoning": "So."}
    return {"answer": "yes" if "then say yes" in prompt.system else "no"}


def compiled(student, rows, **arguments):
    lm = scripted(world)
    with dspy.context(lm=lm):
        teleprompter = PLDTeleprompter(
            embedder=tfidf, num_threads=1, budget=Budget(max_iterations=0, num_candidates=1), **arguments
        )
        return teleprompter.compile(student, trainset=rows), lm.engine.prompts


@pytest.mark.parametrize(
    "rows",
    [
        ROWS,
        [dspy.Example(**row) for row in ROWS],
        datasets.Dataset.from_list(ROWS),
        examples(9),
        [*ROWS[:5], *examples(9)[5:]],
        [dspy.Prediction(**row) for row in ROWS],
        [{**row, "self": 1, "base": {"question": "x"}, 7: 8} for row in ROWS],
    ],
)
def test_rows_of_any_kind_are_examples(rows):
    program, _ = compiled(STUDENT, rows)
    assert program.pld.validation == {"student": 0.0, "clustered": 1.0, "compiled": 1.0}
    assert sorted(program.pld.rules["self"].rules[0].examples)[0] in {"q0", "q1", "q2", "q3"}, "ids are kept"


class Two(dspy.Module):
    def __init__(self):
        super().__init__()
        self.first = dspy.Predict("question -> topic")
        self.second = dspy.Predict("question, topic -> answer")

    def forward(self, question, hint=""):
        return self.second(question=question, topic=self.first(question=question).topic)


def test_inputs_are_what_the_program_takes_and_gives_not():
    row = {"question": "q", "topic": "t", "hint": "h", "answer": "a", "source": "s"}
    (example,) = examples_of(Two(), [row])
    assert set(example.inputs().keys()) == {"question", "hint"}
    assert set(example.labels().keys()) == {"topic", "answer", "source"}
    own = dspy.Example(**row).with_inputs("question", "source")
    assert examples_of(Two(), [own]) == [own], "who says what the inputs are is believed"


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (["Is 1 a number?"], "Example 1 is a str: give dspy.Examples or dictionaries."),
        ([ROWS[0], {"q": 1, "a": 2}], "Example 2 has none of the inputs of the program .question., but q, a."),
        ([{}], "Example 1 has none of the inputs of the program .question., but nothing."),
        (5, "The examples come as int: give a list of them, or one split of a data set."),
        ("sample", "The examples come as str: "),
        (ROWS[0], "The examples come as dict: "),
        (datasets.DatasetDict(train=datasets.Dataset.from_list(ROWS)), "The examples come as DatasetDict: "),
    ],
)
def test_what_is_no_example_is_said(rows, said):
    with pytest.raises(PLDError, match=said):
        examples_of(STUDENT, rows)


class Later(dspy.Module):
    """A program that can only be awaited."""

    def __init__(self):
        super().__init__()
        self.predict = dspy.Predict("question -> answer")

    async def aforward(self, question):
        return await self.predict.acall(question=question)


class Awaited:
    """An engine, to be awaited."""

    def __init__(self, engine):
        self.engine = engine

    async def complete(self, request):
        return self.engine.complete(request)


async def in_a_notebook(work):
    """Cells run in a thread that has a loop."""
    return work()


@pytest.mark.parametrize("run", [lambda work: work(), lambda work: asyncio.run(in_a_notebook(work))])
def test_a_program_that_can_only_be_awaited_compiles(run):
    student, engine = Later(), ScriptedEngine(world)
    student.set_lm(dspy.LM("awaited", engine=engine, async_engine=Awaited(engine), cache=False, num_retries=0))
    program, _ = run(lambda: compiled(student, ROWS))
    assert program.pld.validation == {"student": 0.0, "clustered": 1.0, "compiled": 1.0}
    assert program.pld.usage["student"].calls == sum("answer" in prompt.outputs for prompt in engine.prompts) == 6
    assert answer(program, examples(1)[0]).answer == "yes"


class Unfinished(dspy.Module):
    """A program without a `forward`."""

    def __init__(self):
        super().__init__()
        self.predict = dspy.Predict("question -> answer")


def test_a_program_that_can_be_asked_nothing_is_refused():
    with pytest.raises(PLDError, match="The program Unfinished has no forward"):
        compiled(Unfinished(), ROWS)


class Silent:
    """An engine that cannot be saved."""

    def complete(self, request):
        raise AssertionError("nothing is to be asked")


@pytest.mark.parametrize("thing", [{1, 2}, b"bytes", object(), "half \ud800"])
def test_a_program_that_cannot_be_saved_is_refused_before_the_first_call(tmp_path, thing):
    student = STUDENT.deepcopy()
    student.demos = [dspy.Example(question=thing, answer="yes")]
    lm = scripted(world)
    with dspy.context(lm=lm), pytest.raises(PLDError, match=r"The program Predict cannot be saved in .*run: "):
        PLDTeleprompter(embedder=tfidf, log_dir=tmp_path / "run").compile(student, trainset=ROWS)
    assert not lm.engine.prompts
    assert not (tmp_path / "run").exists()


def test_an_engine_that_cannot_be_saved_is_refused_where_something_is_saved(tmp_path):
    student = STUDENT.deepcopy()
    student.set_lm(dspy.LM("silent", engine=Silent()))
    with pytest.raises(PLDError, match=r"cannot be saved in .*dump_state"):
        PLDTeleprompter(embedder=tfidf, log_dir=tmp_path / "run").compile(student, trainset=ROWS)


def test_pictures_dates_and_models_in_demonstrations_are_saved(tmp_path):
    student = STUDENT.deepcopy()
    things = [dspy.Image("data:image/png;base64,AAAA"), datetime.date(2026, 11, 27), dspy.History(messages=[{"a": 1}])]
    student.demos = [dspy.Example(question=thing, answer="yes") for thing in things]
    program, _ = compiled(student, ROWS, log_dir=tmp_path / "run")
    assert program.pld.validation["compiled"] == 1.0
    assert len(json.loads((tmp_path / "run/program.json").read_text())["demos"]) == 3


def test_what_fails_at_the_end_is_on_record_and_loses_nothing(tmp_path, monkeypatch):
    def full(program, path):
        path.write_text("{")
        try:
            raise OSError("the disk is full")
        except OSError as error:
            raise RuntimeError(f"{error}; consider another format") from None  # as DSPy does

    monkeypatch.setattr(dspy.Predict, "save", full)
    with pytest.raises(PLDError, match=r"program\.json cannot be written: the disk is full\.$"):
        compiled(STUDENT, ROWS, log_dir=tmp_path / "run")
    assert json.loads((tmp_path / "run/run.json").read_text())["status"].endswith(
        "cannot be written: the disk is full."
    )
    assert not list((tmp_path / "run").glob("program*"))
    monkeypatch.undo()
    _, prompts = compiled(STUDENT, ROWS, log_dir=tmp_path / "run")
    assert prompts == [], "everything is known"
    assert (tmp_path / "run/program.json").exists()


def drawn(mode, ground, ink):
    picture = PIL.Image.new(mode, (40, 40), ground)
    PIL.ImageDraw.Draw(picture).line((0, 20, 40, 20), fill=ink, width=6)
    return dspy.Image(picture)


def test_own_pictures_are_made_ready_wherever_they_stand():
    clear = drawn("RGBA", (0, 0, 0, 0), (0, 0, 0, 255))
    plain = dspy.Image(encode(content_of(drawn("RGB", "white", "black").url)))
    link = dspy.Image("https://example.org/a.png")
    row = {"question": clear, "more": [plain, {"front": clear}], "talk": dspy.History(messages=[{"a": clear}])}
    (example,) = examples_of(STUDENT, [{**row, "link": link}])
    found = [example.question, example.more[1]["front"], example.talk.messages[0]["a"]]
    for figure in found:
        shown = PIL.Image.open(io.BytesIO(content_of(figure.url))).convert("RGB")
        assert shown.getpixel((5, 5)) == (255, 255, 255), "on white"
        assert max(shown.getpixel((20, 20))) < 30
    assert example.more[0] is plain, "what is ready stays"
    assert example.link is link
    assert row["question"] is clear, "the user's own rows are not touched"
    assert examples_of(STUDENT, [example])[0] is example


def test_a_picture_that_cannot_be_used_is_said(monkeypatch):
    monkeypatch.setattr("pld_dspy.pictures.MAX_PIXELS", 1000)
    with pytest.raises(PLDError, match=r"Example 1 has a picture which is too large: 40 × 40 pixels"):
        examples_of(STUDENT, [{"question": drawn("RGB", "white", "black"), "answer": "yes"}])


@pytest.mark.parametrize("name", ["solution", "explanation", "rationale", "lecture", "reasoning", "id"])
def test_a_name_that_the_program_gives_is_a_label_whatever_it_is_called(name):
    """Fields of such names are explanations or ids elsewhere."""
    rows = [{"question": f"Is {i} a number?", name: "yes"} for i in range(9)]

    def script(prompt):
        found = world(prompt) if "rule" in prompt.outputs or "edits" in prompt.outputs else None
        return found or {name: "yes" if "then say yes" in prompt.system else "no"}

    lm = scripted(script)
    with dspy.context(lm=lm):
        teleprompter = PLDTeleprompter(embedder=tfidf, num_threads=1, budget=Budget(max_iterations=0, num_candidates=1))
        program = teleprompter.compile(dspy.Predict(f"question -> {name}"), trainset=rows)
    assert program.pld.validation["compiled"] == 1.0
    taught = [prompt.fields for prompt in lm.engine.prompts if "example" in prompt.fields]
    assert {(fields["answer"], fields["rationale"]) for fields in taught} == {("yes", "")}


def test_the_reasoning_of_a_chain_of_thought_is_no_label():
    rows = [{**row, "reasoning": "Each number is one."} for row in ROWS]

    def script(prompt):
        return {**world(prompt), "reasoning": "I think so."}

    lm = scripted(script)
    with dspy.context(lm=lm):
        teleprompter = PLDTeleprompter(embedder=tfidf, num_threads=1, budget=Budget(max_iterations=0, num_candidates=1))
        program = teleprompter.compile(dspy.ChainOfThought("question -> answer"), trainset=rows)
    assert program.pld.validation == {"student": 0.0, "clustered": 1.0, "compiled": 1.0}
    taught = [prompt.fields for prompt in lm.engine.prompts if "example" in prompt.fields]
    assert {(fields["answer"], fields["rationale"]) for fields in taught} == {("yes", "Each number is one.")}


@pytest.mark.parametrize("field", ["question", "answer", "id", "lecture"])
def test_halves_of_characters_in_the_data_are_replaced(tmp_path, field):
    """No request and no file can hold them."""
    rows = [{**row, "lecture": "Each number is one."} for row in ROWS]
    for row in rows:
        row[field] += "\ud800"

    def reply(body):
        teaches = "rule" in body["messages"][0]["content"]
        values = (
            {"reasoning": "So.", "question_kind": "k", "rule": "If it is one, then say yes."}
            if teaches
            else {"answer": "yes?"}
        )
        content = "\n\n".join(f"[[ ## {name} ## ]]\n{value}" for name, value in values.items())
        choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
        return 200, {"id": "x", "object": "chat.completion", "created": 0, "model": "x", "choices": [choice]}

    with served(reply) as (address, _):
        lm = dspy.LM("openai/x", api_base=address, api_key="none", cache=False, num_retries=0)
        teleprompter = PLDTeleprompter(
            embedder=tfidf, budget=Budget(max_iterations=0, num_candidates=1), log_dir=tmp_path / "run"
        )
        with dspy.context(lm=lm):
            program = teleprompter.compile(STUDENT, trainset=rows)
    assert program.pld.validation["student"] == 1.0
    assert json.loads((tmp_path / "run/run.json").read_text())["status"] == "finished"
