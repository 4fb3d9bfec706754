import copy
import json
import threading

import dspy
import pytest
from dspy.lm15 import AuthError, ContextLengthError, Message, Request, Response, TextPart, Usage
from dspy.utils.exceptions import LMAuthError, LMError
from dspy.utils.usage_tracker import UsageTracker

from optimizers.recording import CapReached, Recorder, recorded

IMAGE = dspy.Image("data:image/png;base64,iVBORw0KGgo=")


class Engine:
    """Answers everything with the same word, or raises."""

    def __init__(self, error=None):
        self.error, self.asked, self._lock = error, 0, threading.Lock()

    def __deepcopy__(self, memo):
        return self

    def complete(self, request):
        with self._lock:
            self.asked += 1
        if self.error is not None:
            raise self.error
        return Response(
            id=None,
            model=request.model,
            message=Message.assistant([TextPart("[[ ## answer ## ]]\nyes\n\n[[ ## completed ## ]]")]),
            finish_reason="stop",
            usage=Usage(input_tokens=10, output_tokens=2, total_tokens=12),
        )


@pytest.fixture
def cold(tmp_path):
    before = dspy.cache
    dspy.configure_cache(disk_cache_dir=str(tmp_path / "cache"))
    yield
    dspy.cache = before


def recorder(tmp_path, cap=100, **more):
    return Recorder(tmp_path / "calls.jsonl", cap, **more)


def model(of, role="student", engine=None, cache=False, **settings):
    return recorded(dspy.LM("tiny", engine=engine or Engine(), cache=cache, num_retries=0, **settings), role, of)


def lines(tmp_path):
    return [json.loads(line) for line in (tmp_path / "calls.jsonl").read_text().splitlines()]


def test_a_call_is_on_record_with_its_role_phase_tokens_and_images(tmp_path):
    of = recorder(tmp_path)
    with dspy.context(lm=model(of)):
        dspy.Predict("image: dspy.Image, question -> answer")(image=IMAGE, question="?")
    (line,) = lines(tmp_path)
    assert (line["role"], line["phase"], line["model"], line["images"]) == ("student", "compile", "tiny", 1)
    assert (line["prompt_tokens"], line["completion_tokens"], line["answers"]) == (10, 2, 1)
    assert line["seconds"] >= 0
    assert line["error"] is None


def test_two_roles_that_share_a_model_and_an_engine_are_told_apart(tmp_path):
    of, engine = recorder(tmp_path), Engine()
    teacher, student = model(of, "teacher", engine), model(of, "student", engine)
    teacher("a"), student("b"), student("c")
    of.phase = "test"
    student("d")
    counted = {phase: {role: used.calls for role, used in of.usage(phase).items()} for phase in ("compile", "test")}
    assert counted == {"compile": {"teacher": 1, "student": 2}, "test": {"teacher": 0, "student": 1}}
    assert of.usage("compile")["student"].prompt_tokens == 20


def test_copies_are_on_record_too(tmp_path):
    of = recorder(tmp_path)
    student = model(of)
    student.copy(temperature=1.0)("a")
    copy.deepcopy(student)("b")
    assert len(lines(tmp_path)) == 2
    assert of.usage("compile")["student"].calls == 2


def test_a_request_for_several_answers_counts_as_so_many(tmp_path):
    of, engine = recorder(tmp_path), Engine()
    model(of, engine=engine)("a", n=3)
    assert engine.asked == 3
    assert of.usage("compile")["student"].calls == 3
    assert of.usage("compile")["student"].completion_tokens == 6


def test_usage_goes_on_to_the_tracker_outside(tmp_path):
    tracker = UsageTracker()
    with dspy.context(usage_tracker=tracker):
        model(recorder(tmp_path))("a")
    assert tracker.get_total_tokens()["tiny"]["prompt_tokens"] == 10


def test_answers_of_the_cache_are_no_calls(tmp_path, cold):
    of = recorder(tmp_path)
    student = model(of, cache=True)
    student("a"), student("a")
    assert len(lines(tmp_path)) == of.usage("compile")["student"].calls == 1


def test_what_was_asked_before_an_interruption_counts_once_it_is_asked_again(tmp_path, cold):
    engine = Engine()
    first = model(recorder(tmp_path), engine=engine, cache=True)
    first("a"), first("b"), first("never again")
    of = recorder(tmp_path)
    second = model(of, engine=engine, cache=True)
    assert of.usage("compile")["student"].calls == 0
    second("a"), second("a"), second("b"), second("c")
    assert engine.asked == 4
    assert of.usage("compile")["student"].calls == 3
    assert of.usage("compile")["student"].prompt_tokens == 30


def test_the_cap_ends_compiling_but_not_testing(tmp_path):
    of, engine = recorder(tmp_path, cap=3), Engine()
    teacher, student = model(of, "teacher", engine), model(of, "student", engine)
    teacher("a"), student("b")
    assert not of.capped
    student("c")
    assert of.capped
    for lm in (teacher, student):
        with pytest.raises(CapReached, match="cap of 3 calls"):
            lm("d")
    assert engine.asked == 3
    of.phase = "test"
    student("e")
    assert engine.asked == 4


def test_after_an_interruption_the_cap_counts_anew(tmp_path, cold):
    first = model(recorder(tmp_path, cap=3), cache=True)
    first("a"), first("b"), first("c")
    second = model(recorder(tmp_path, cap=3), cache=True)
    second("a"), second("b"), second("c")  # from the cache
    with pytest.raises(CapReached):
        second("d")


def test_a_model_that_does_not_answer_is_not_asked_again(tmp_path):
    of, engine = recorder(tmp_path), Engine(AuthError("no such key"))
    student = model(of, engine=engine)
    for text in ("a", "b"):
        with pytest.raises(LMAuthError, match="no such key"):
            student(text)
    assert engine.asked == 1
    assert isinstance(of.hopeless, LMAuthError)
    assert [line["error"] for line in lines(tmp_path)] == ["LMAuthError"]


def test_failures_are_on_record(tmp_path):
    of = recorder(tmp_path)
    with pytest.raises(LMError):
        model(of, engine=Engine(ContextLengthError("too long")))("a")
    assert of.hopeless is None
    assert of.usage("compile")["student"].failed == 1
    assert lines(tmp_path)[0]["error"] == "ContextWindowExceededError"


def test_what_a_question_takes_is_of_the_test_only(tmp_path):
    of = recorder(tmp_path)
    student = model(of)
    with dspy.context(lm=student):
        ask = dspy.Predict("image: dspy.Image, question -> answer")
        ask(image=IMAGE, question="compiling")
        of.phase = "test"
        for question in "ab":
            ask(image=IMAGE, question=question)
    found = of.per_question(2)
    assert (found.calls, found.prompt_tokens, found.completion_tokens, found.images) == (1, 10, 2, 1)
    assert 0 < found.cacheable < 1
    assert found.cost_usd is None


def test_prices_are_litellms(tmp_path):
    of = recorder(tmp_path)
    recorded(dspy.LM("openai/gpt-4o-mini", engine=Engine(), cache=False), "teacher", of)("a")
    assert of.usage("compile")["teacher"].cost_usd == pytest.approx(10 * 0.15e-6 + 2 * 0.6e-6)
    assert of.usage("compile")["student"].cost_usd == 0.0


def test_calls_side_by_side_are_all_counted(tmp_path):
    seen = []
    of = recorder(tmp_path, cap=1_000, on_call=seen.append)
    student = model(of)
    threads = [threading.Thread(target=lambda n=n: [student(f"{n} {k}") for k in range(10)]) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(lines(tmp_path)) == of.usage("compile")["student"].calls == 80
    assert sorted(seen) == list(range(1, 81))


def test_a_request_object_is_on_record(tmp_path):
    of = recorder(tmp_path)
    reply = model(of)(Request(model="tiny", messages=(Message.user("a"),)))
    assert isinstance(reply, Response)
    assert of.usage("compile")["student"].calls == 1
