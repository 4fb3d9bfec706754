import contextlib
import itertools
import threading

import dspy
import pytest
from dspy.lm15 import (
    AuthError,
    BillingError,
    RateLimitError,
    ServerError,
    TimeoutError,
    TransportError,
    UnsupportedModelError,
)
from scripted import scripted

from pld_dspy.errors import PLDError
from pld_dspy.run.runner import NOT_RUN, Failure, Runner, grouped
from pld_dspy.run.usage import Meter, Usage, count_tokens, price

predict = dspy.Predict("question -> answer")


def ask(question: str) -> str:
    return predict(question=question).answer


@pytest.mark.parametrize("threads", [1, 4])
def test_results_keep_their_order_and_every_call_is_counted_for_its_role(threads):
    runner, lm = Runner(threads), scripted(lambda prompt: {"answer": prompt.fields["question"]})
    questions = [str(i) for i in range(20)]
    with dspy.context(lm=lm):
        outcomes = runner.map("teacher", ask, questions, "asking")
    assert [outcome.value.split()[0] for outcome in outcomes] == questions
    assert (runner.meter("teacher").total().calls, runner.meter("student").total().calls) == (20, 0)
    assert runner.meter("teacher").total().completion_tokens == 7 * 20
    assert runner.meter("teacher").total().prompt_tokens == sum(prompt.tokens for prompt in lm.engine.prompts)


def test_cached_answers_are_no_calls():
    runner, lm = Runner(1), scripted(lambda prompt: {"answer": "yes"})
    lm.cache = True
    with dspy.context(lm=lm):
        for _ in range(3):
            runner.map("student", ask, ["asked again in test_cached_answers"], "asking")
    assert runner.meter("student").total().calls == len(lm.engine.prompts) == 1


def refusing(error, *bad: int):
    """A model that refuses those of its calls that have these numbers, from 0 on."""
    numbers = itertools.count()

    def script(prompt):
        if next(numbers) in bad:
            raise error
        return {"answer": "yes"}

    return scripted(script)


@pytest.mark.parametrize("kind", [AuthError, BillingError, UnsupportedModelError, TransportError])
def test_a_model_that_cannot_answer_stops_everything_at_once(kind):
    lm = refusing(kind("no way"), *range(99))
    with dspy.context(lm=lm), pytest.raises(PLDError, match=r"The model scripted does not answer: .*no way"):
        Runner(1).map("student", ask, [str(i) for i in range(50)], "asking")
    assert len(lm.engine.prompts) == (1 if kind is TransportError else 2), "one refusal might be a slip"


@pytest.mark.parametrize("kind", [AuthError, RateLimitError, ServerError, TimeoutError, ValueError])
@pytest.mark.parametrize("place", [0, 3, 5])
def test_what_gets_no_reply_is_asked_again_after_the_others(kind, place):
    lm, runner = refusing(kind("not now"), place), Runner(1)
    with dspy.context(lm=lm):
        outcomes = runner.map("student", ask, list("abcdef"), "asking")
    assert [outcome.value for outcome in outcomes] == ["yes"] * 6
    assert [prompt.fields["question"] for prompt in lm.engine.prompts] == [*"abcdef", "abcdef"[place]]
    assert not runner.failures


def test_what_gets_no_reply_twice_is_on_record_and_the_others_go_on():
    runner = Runner(1)
    with dspy.context(lm=refusing(ServerError("broken"), 1, 20, 21)):
        outcomes = runner.map("student", ask, [f"q{i}" for i in range(20)], "asking", id_of=lambda question: question)
    assert [place for place, outcome in enumerate(outcomes) if outcome.failed] == [1]
    assert "broken" in outcomes[1].error
    (failure,) = runner.failures
    assert (failure.role, failure.purpose, failure.kind, failure.item) == ("student", "asking", "no reply", "q1")
    assert "broken" in failure.reason


@pytest.mark.parametrize(("max_failed", "n", "calls"), [(0.1, 20, 3), (0.5, 20, 11), (0.1, 3, 2)])
def test_a_model_that_often_gives_no_reply_stops_the_step_after_it_was_asked_again(max_failed, n, calls):
    lm = refusing(RateLimitError("slow down"), *range(99))
    stop = rf"scripted left \d+ of {n} requests without a reply, also when they were sent again: .*slow down\. .* later"
    with dspy.context(lm=lm), pytest.raises(PLDError, match=stop):
        Runner(1, max_failed=max_failed).map("student", ask, [f"q{i}" for i in range(n)], "asking")
    assert len(lm.engine.prompts) == 3 * calls


def test_a_burst_of_refusals_is_outlived():
    lm, runner = refusing(RateLimitError("slow down"), *range(5)), Runner(1)
    with dspy.context(lm=lm):
        outcomes = runner.map("student", ask, [f"q{i}" for i in range(20)], "asking")
    assert {outcome.value for outcome in outcomes} == {"yes"}


def test_a_model_none_of_whose_replies_is_of_use_stops_after_a_few():
    lm = scripted(lambda prompt: "I am not one for formats.")
    with (
        dspy.context(lm=lm),
        pytest.raises(PLDError, match=r"Not one of the first 5 replies of the student's .*formats"),
    ):
        Runner(1).map("student", ask, [str(i) for i in range(50)], "asking")
    assert len(lm.engine.prompts) <= 10, "two calls a question: DSPy asks again for JSON"
    runner = Runner(1)
    for _ in range(2):
        with dspy.context(lm=lm), contextlib.suppress(PLDError):
            runner.map("student", ask, ["a"], "asking")
            assert runner.failures[-1].kind == "no use"
    with dspy.context(lm=lm), pytest.raises(PLDError, match="first 5 replies"):
        runner.map("student", ask, ["a", "b", "c"], "asking")


def test_one_reply_of_use_lets_a_weak_model_go_on():
    def script(prompt):
        return {"answer": "yes"} if "q3" in prompt.fields["question"] else "no"

    with dspy.context(lm=scripted(script)):
        outcomes = Runner(1).map("student", ask, [f"q{i}" for i in range(30)], "asking")
    assert [outcome.error is None for outcome in outcomes] == [place == 3 for place in range(30)]
    assert not any(outcome.failed for outcome in outcomes), "an unreadable reply is a reply"


def test_an_error_of_the_function_is_its_items_own_within_dspys_limit():
    def divide(number: int) -> float:
        return 1 / number

    runner = Runner(2)
    outcomes = runner.map("student", divide, [1, 0, 2], "dividing")
    assert [outcome.value for outcome in outcomes] == [1, None, 0.5]
    assert outcomes[1].error == "ZeroDivisionError: division by zero"
    with dspy.context(max_errors=3), pytest.raises(PLDError, match=r"4 of 10 examples failed, .*ZeroDivision") as stop:
        Runner(1).map("student", divide, [1] + [0] * 9, "dividing")
    assert isinstance(stop.value.__cause__, ZeroDivisionError)


def test_bad_input_stops_the_step():
    def ask(item: str) -> str:
        raise PLDError("The picture is not there.")

    with pytest.raises(PLDError, match="picture is not there"):
        Runner(2).map("student", ask, ["a", "b"], "asking")


def test_failures_are_grouped_by_step_and_kind():
    def failure(item, kind="no reply", purpose="asking", reason="busy"):
        return Failure(role="student", purpose=purpose, kind=kind, item=item, reason=reason)

    groups = grouped([failure(f"q{i}") for i in range(30)] + [failure("q1", "no use", reason="odd"), failure("q40")])
    assert [(group.kind, group.n, group.ids[:2], group.reason) for group in groups] == [
        ("no reply", 31, ["q0", "q1"], "busy"),
        ("no use", 1, ["q1"], "odd"),
    ]
    assert len(groups[0].ids) == 10


def test_a_spent_budget_leaves_the_rest_undone():
    runner = Runner(1, max_lm_calls=3)
    with dspy.context(lm=scripted(lambda prompt: {"answer": "yes"})):
        outcomes = runner.map("student", ask, list("abcde"), "asking")
    assert [outcome.error for outcome in outcomes] == [None] * 3 + [NOT_RUN] * 2
    assert runner.spent


def test_calls_of_an_earlier_session_count_towards_the_budget():
    earlier = {"teacher": {"big": Usage(calls=2, prompt_tokens=5)}, "student": {}}
    runner = Runner(1, max_lm_calls=3, earlier=earlier)
    with dspy.context(lm=scripted(lambda prompt: {"answer": "yes"})):
        runner.map("student", ask, list("abc"), "asking")
    assert runner.meter("student").total().calls == 1
    assert runner.usage()["teacher"]["big"].prompt_tokens == 5


def test_a_cost_cap_holds_for_a_model_with_a_price():
    runner = Runner(1, max_cost=0.001)
    runner.meter("student").add_usage("openai/gpt-4o", {"prompt_tokens": 1000, "completion_tokens": 100})
    assert runner.map("student", str, [1], "none")[0].error == NOT_RUN


def test_a_meter_loses_no_call_of_any_thread():
    meter = Meter()
    child = meter.child()
    threads = [
        threading.Thread(target=lambda: [child.add_usage("m", {"prompt_tokens": 2}) for _ in range(500)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert meter.total().calls == child.total().calls == 2000
    assert meter.total().prompt_tokens == 4000


def test_prices_are_litellms_or_unknown():
    import litellm

    known = litellm.model_cost["gpt-4o"]
    expected = 10 * known["input_cost_per_token"] + 5 * known["output_cost_per_token"]
    assert price("openai/gpt-4o", 10, 5) == pytest.approx(expected)
    assert price("openai/no-such-model", 10, 5) is None
    assert price("rehearsal:seed=0", 10, 5) is None
    assert price("openai/gpt-4o", 100, 50, calls=7) == pytest.approx(10 * expected)
    assert (Usage(cost_usd=0.5) + Usage(cost_usd=None)).cost_usd is None


def test_long_calls_are_dearer_and_many_short_ones_are_not_a_long_one():
    assert price("gemini/gemini-2.5-pro", 300_000, 0, calls=300) == pytest.approx(300_000 * 1.25e-6)
    assert price("gemini/gemini-2.5-pro", 300_000, 0) == pytest.approx(300_000 * 2.5e-6)


def test_a_model_newer_than_the_price_list_has_no_price_and_a_local_one_is_free():
    assert price("gemini/gemini-3-pro-preview", 10, 5) is None
    assert price("ollama_chat/gemma3:4b", 10, 5) == 0.0


def test_tokens_are_counted_with_the_models_tokenizer():
    assert count_tokens("openai/gpt-4o", "one two three") == 3
    assert count_tokens("rehearsal:seed=0", "12345") == 2


@pytest.mark.parametrize(
    "model", ["meta-llama/Llama-3.2-1B", "together_ai/llama-2", "cohere/command-r", "hf:some/thing"]
)
def test_tokens_are_counted_without_a_tokenizer_of_the_hub(monkeypatch, model):
    """LiteLLM hides that it could not fetch one: it counts with another, after 23 seconds."""
    import litellm

    fetched = []
    monkeypatch.setattr(litellm, "disable_hf_tokenizer_download", None)
    monkeypatch.setattr(litellm.utils, "_return_huggingface_tokenizer", fetched.append)
    assert count_tokens(model, "one two three") == 3
    assert fetched == []
