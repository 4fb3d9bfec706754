import copy
import dataclasses
import json
import threading

import dspy
import pytest
from dspy.lm15 import (
    AuthError,
    ContextLengthError,
    Message,
    Request,
    Response,
    TextPart,
    UnsupportedFeatureError,
    Usage,
)
from dspy.utils.exceptions import LMAuthError, LMError
from dspy.utils.usage_tracker import UsageTracker

from pld_dspy.errors import PLDError
from pld_dspy.optimizers.prompts import IN_JSON
from pld_dspy.optimizers.recording import ROLES, CapReached, RecordedLM, Recorder

IMAGE = dspy.Image("data:image/png;base64,iVBORw0KGgo=")


class Engine:
    """Answers everything with the same word, or raises."""

    def __init__(self, error=None, tokens=10):
        self.error, self.tokens, self.asked, self._lock = error, tokens, 0, threading.Lock()

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
            usage=Usage(input_tokens=self.tokens, output_tokens=2, total_tokens=self.tokens + 2),
        )


@pytest.fixture
def cold(tmp_path):
    before = dspy.cache
    dspy.configure_cache(disk_cache_dir=str(tmp_path / "cache"))
    yield
    dspy.cache = before


def recorder(tmp_path, cap=100, **more):
    return Recorder(tmp_path / "calls.jsonl", cap, **more)


def model(of, role="student", engine=None, cache=False, phase="compile"):
    lm = dspy.LM("tiny", engine=engine or Engine(), cache=cache, num_retries=0)
    return RecordedLM(lm, role, phase, of)


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
    model(of, "student", engine, phase="test")("d")
    counted = {phase: {role: of.usage(phase, role).calls for role in ROLES} for phase in ("compile", "test")}
    assert counted == {"compile": {"teacher": 1, "student": 2}, "test": {"teacher": 0, "student": 1}}
    assert of.usage("compile", "student").prompt_tokens == 20


def test_copies_are_on_record_too(tmp_path):
    of = recorder(tmp_path)
    student = model(of)
    student.copy(temperature=1.0)("a")
    copy.deepcopy(student)("b")
    assert len(lines(tmp_path)) == 2
    assert of.usage("compile", "student").calls == 2


def test_the_recorded_model_is_as_the_original_which_is_not_on_record(tmp_path):
    original = dspy.LM("tiny", engine=Engine(), cache=False, num_retries=0, temperature=0.5)
    copied = RecordedLM(original, "student", "compile", recorder(tmp_path))
    assert (copied.model, copied.kwargs, copied.engine) == (original.model, original.kwargs, original.engine)
    copied.kwargs["temperature"] = 1.0
    assert original.kwargs["temperature"] == 0.5
    original("a")
    assert not (tmp_path / "calls.jsonl").exists()


def test_a_model_that_may_ask_in_a_way_of_its_own_is_refused(tmp_path):
    class Own(dspy.LM):
        def forward(self, prompt=None, messages=None, **kwargs):
            raise AssertionError("is asked")

    lm = Own("tiny", engine=Engine())
    with pytest.raises(PLDError, match=r"The student's class is Own: give a dspy\.LM"):
        RecordedLM(lm, "student", "compile", recorder(tmp_path))


def test_a_request_for_several_answers_counts_as_so_many(tmp_path):
    of, engine = recorder(tmp_path), Engine()
    model(of, engine=engine)("a", n=3)
    assert engine.asked == 3
    assert of.usage("compile", "student").calls == 3
    assert of.usage("compile", "student").completion_tokens == 6


def test_usage_goes_on_to_the_tracker_outside(tmp_path):
    tracker = UsageTracker()
    with dspy.context(usage_tracker=tracker):
        model(recorder(tmp_path))("a")
    assert tracker.get_total_tokens()["tiny"]["prompt_tokens"] == 10


def test_answers_of_the_cache_are_no_calls(tmp_path, cold):
    of = recorder(tmp_path)
    student = model(of, cache=True)
    student("a"), student("a")
    assert len(lines(tmp_path)) == of.usage("compile", "student").calls == 1


def test_what_was_asked_before_an_interruption_counts_once_it_is_asked_again(tmp_path, cold):
    engine = Engine()
    first = model(recorder(tmp_path), engine=engine, cache=True)
    first("a"), first("b"), first("never again")
    of = recorder(tmp_path)
    second = model(of, engine=engine, cache=True)
    assert of.usage("compile", "student").calls == 0
    second("a"), second("a"), second("b"), second("c")
    assert engine.asked == 4
    assert of.usage("compile", "student").calls == 3
    assert of.usage("compile", "student").prompt_tokens == 30


def test_the_clock_goes_on_where_compiling_was_interrupted(tmp_path):
    assert recorder(tmp_path).elapsed < 60
    of = recorder(tmp_path)
    model(of)("a"), model(of, phase="test")("b")
    compiled, tested = lines(tmp_path)
    later = [{**compiled, "at": 500.0}, {**tested, "at": 9000.0}]
    (tmp_path / "calls.jsonl").write_text("".join(json.dumps(line) + "\n" for line in later))
    assert 500 <= recorder(tmp_path).elapsed < 560


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
    model(of, engine=engine, phase="test")("e")
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
    assert isinstance(of.fatal, LMAuthError)
    assert [line["error"] for line in lines(tmp_path)] == ["LMAuthError"]


def test_failures_are_on_record(tmp_path):
    of = recorder(tmp_path)
    with pytest.raises(LMError):
        model(of, engine=Engine(ContextLengthError("too long")))("a")
    assert of.fatal is None
    assert of.usage("compile", "student").failed == 1
    assert lines(tmp_path)[0]["error"] == "ContextWindowExceededError"


def test_what_a_question_takes_is_of_the_test_only(tmp_path):
    of = recorder(tmp_path)
    ask = dspy.Predict("image: dspy.Image, question -> answer")
    with dspy.context(lm=model(of)):
        ask(image=IMAGE, question="compiling")
    with dspy.context(lm=model(of, phase="test")):
        for question in "ab":
            ask(image=IMAGE, question=question)
    found = of.per_question(2)
    assert (found.calls, found.prompt_tokens, found.completion_tokens, found.images) == (1, 10, 2, 1)
    assert 0 < found.cacheable < 1
    assert found.cost_usd is None


def test_each_call_has_litellms_price_of_its_own_length_and_model(tmp_path):
    of = recorder(tmp_path, cap=10_000)
    long = Engine(tokens=150_000)
    for name, engine in (("openai/gpt-4o-mini", Engine()), ("gemini/gemini-2.5-pro", long)):
        lm = RecordedLM(dspy.LM(name, engine=engine, cache=False), "teacher", "compile", of)
        lm("a"), lm("b")
    mini, pro = 10 * 0.15e-6 + 2 * 0.6e-6, 150_000 * 1.25e-6 + 2 * 10e-6  # the latter dearer from 200,000 tokens on
    assert of.usage("compile", "teacher").cost_usd == pytest.approx(2 * mini + 2 * pro)
    assert of.usage("compile", "student").cost_usd == 0.0


def test_calls_side_by_side_are_all_counted(tmp_path):
    seen = []
    of = recorder(tmp_path, cap=1_000, on_call=lambda phase, count: seen.append((phase, count)))
    student = model(of)
    threads = [threading.Thread(target=lambda n=n: [student(f"{n} {k}") for k in range(10)]) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(lines(tmp_path)) == of.usage("compile", "student").calls == 80
    assert sorted(seen) == [("compile", count) for count in range(1, 81)]


def test_a_request_object_is_on_record(tmp_path):
    of = recorder(tmp_path)
    reply = model(of)(Request(model="tiny", messages=(Message.user("a"),)))
    assert isinstance(reply, Response)
    assert of.usage("compile", "student").calls == 1


def test_calls_side_by_side_do_not_go_beyond_the_cap(tmp_path):
    engine = Engine()
    student = model(recorder(tmp_path, cap=10), engine=engine)
    refused = []

    def ask(n):
        try:
            student(str(n), n=3)
        except CapReached:
            refused.append(n)

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert engine.asked == 12  # the fourth request begins at nine
    assert len(refused) == 8


def test_threads_that_an_optimizer_leaves_behind_ask_nothing_and_count_as_compiling(tmp_path):
    of, engine = recorder(tmp_path), Engine()
    student = model(of, engine=engine)
    student("a")
    of.end_compiling()
    with pytest.raises(CapReached):
        student("b")
    model(of, engine=engine, phase="test")("c")
    assert [of.usage(phase, "student").calls for phase in ("compile", "test")] == [1, 1]


def test_a_question_that_stands_twice_costs_twice(tmp_path, cold):
    of, engine = recorder(tmp_path), Engine()
    compiling, testing = (model(of, engine=engine, cache=True, phase=phase) for phase in ("compile", "test"))
    compiling("seen while compiling"), compiling("seen while compiling")
    for text in ("a", "a", "seen while compiling"):
        testing(text)
    assert engine.asked == 2
    assert of.per_question(3).calls == 1.0
    assert of.usage("compile", "student").calls == 1


def test_identical_requests_side_by_side_count_alike_after_an_interruption(tmp_path, cold):
    of = recorder(tmp_path)
    uncached, cached = (model(of, cache=cache) for cache in (False, True))
    uncached("a"), cached("a")  # as two threads that both find nothing in the cache
    assert of.usage("compile", "student").calls == 2
    again = recorder(tmp_path)
    second = model(again, cache=True)
    second("a"), second("a"), second("a")
    assert again.usage("compile", "student").calls == 2


def test_what_an_optimizer_asks_in_vain_is_its_own_fault(tmp_path):
    of = recorder(tmp_path)
    with pytest.raises(LMError):
        model(of, engine=Engine(UnsupportedFeatureError("no temperature")))("a")
    assert of.fatal is None


def test_a_record_that_cannot_be_written_ends_everything(tmp_path):
    of = Recorder(tmp_path / "no folder" / "calls.jsonl", 100)
    student = model(of)
    for text in ("a", "b"):
        with pytest.raises(FileNotFoundError):
            student(text)
    assert isinstance(of.fatal, FileNotFoundError)


def test_a_second_try_in_json_is_no_part_of_what_prompts_have_in_common(tmp_path):
    class Garbled(Engine):
        def complete(self, request):
            reply = super().complete(request)
            if self.asked == 3:
                return dataclasses.replace(reply, message=Message.assistant([TextPart("hm")]))
            if IN_JSON in str(request.system):
                return dataclasses.replace(reply, message=Message.assistant([TextPart('{"answer": "yes"}')]))
            return reply

    shares = []
    for engine in (Engine(), Garbled()):
        of = recorder(tmp_path)
        ask = dspy.Predict("question -> answer")
        with dspy.context(lm=model(of, engine=engine, phase="test")):
            for question in "abcdefgh":
                assert ask(question=question).answer == "yes"
        shares.append(of.per_question(8).cacheable)
    assert engine.asked == 9
    assert shares[1] == pytest.approx(shares[0], abs=0.15)


def test_predictors_with_the_same_fields_have_prefixes_of_their_own(tmp_path):
    of = recorder(tmp_path)
    asks = [dspy.Predict(dspy.Signature("question -> answer", f"{word} " * 600)) for word in ("One", "Two")]
    with dspy.context(lm=model(of, phase="test")):
        for question in "abc":
            for ask in asks:
                ask(question=question)
    assert of.per_question(3).cacheable > 0.7
