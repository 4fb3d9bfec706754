import threading

import dspy
import pytest
from dspy.lm15 import AuthError, RateLimitError, ServerError
from scripted import scripted

from pld_dspy.errors import PLDError
from pld_dspy.run.runner import NOT_RUN, Runner
from pld_dspy.run.usage import Meter, Usage, count_tokens, price

predict = dspy.Predict("question -> answer")


def ask(question: str) -> str:
    return predict(question=question).answer


@pytest.mark.parametrize("threads", [1, 4])
def test_results_keep_their_order_and_every_call_is_counted_for_its_role(threads):
    runner, lm = Runner(threads), scripted(lambda prompt: {"answer": prompt.fields["question"]})
    questions = [str(i) for i in range(20)]
    with dspy.context(lm=lm, usage_tracker=runner.meter("teacher")):
        outcomes = runner.map(ask, questions, "asking")
    assert [outcome.value.split()[0] for outcome in outcomes] == questions
    assert (runner.meter("teacher").total().calls, runner.meter("student").total().calls) == (20, 0)
    assert runner.meter("teacher").total().completion_tokens == 7 * 20
    assert runner.meter("teacher").total().prompt_tokens == sum(prompt.tokens for prompt in lm.engine.prompts)


def test_cached_answers_are_no_calls():
    runner, lm = Runner(1), scripted(lambda prompt: {"answer": "yes"})
    lm.cache = True
    with dspy.context(lm=lm, usage_tracker=runner.meter("student")):
        for _ in range(3):
            runner.map(ask, ["asked again in test_cached_answers"], "asking")
    assert runner.meter("student").total().calls == len(lm.engine.prompts) == 1


def test_a_model_that_does_not_answer_stops_everything_at_once():
    def script(prompt):
        raise AuthError("bad key")

    lm = scripted(script)
    with dspy.context(lm=lm), pytest.raises(PLDError, match=r"The model scripted does not answer: .*bad key"):
        Runner(1).map(ask, [str(i) for i in range(50)], "asking")
    assert len(lm.engine.prompts) == 1


def test_single_failures_go_on_and_many_stop():
    def script(prompt):
        if "bad" in prompt.fields["question"]:
            raise ServerError("broken")
        return {"answer": "yes"}

    with dspy.context(lm=scripted(script)):
        outcomes = Runner(2).map(ask, ["good", "bad", "good too"], "asking")
        assert [outcome.error is None for outcome in outcomes] == [True, False, True]
        assert "broken" in outcomes[1].error
        with dspy.context(max_errors=3), pytest.raises(PLDError, match="does not answer"):
            Runner(1).map(ask, [f"bad {i}" for i in range(9)], "asking")


def test_rate_limits_are_failures_of_their_items_only():
    def script(prompt):
        raise RateLimitError("slow down")

    with dspy.context(lm=scripted(script)):
        assert "slow down" in Runner(1).map(ask, ["a"], "asking")[0].error


def test_other_exceptions_come_out_as_they_are():
    def divide(number: int) -> float:
        return 1 / number

    with pytest.raises(ZeroDivisionError):
        Runner(2).map(divide, [1, 0, 2], "dividing")


def test_a_spent_budget_leaves_the_rest_undone():
    runner = Runner(1, max_lm_calls=3)
    with dspy.context(lm=scripted(lambda prompt: {"answer": "yes"}), usage_tracker=runner.meter("student")):
        outcomes = runner.map(ask, list("abcde"), "asking")
    assert [outcome.error for outcome in outcomes] == [None] * 3 + [NOT_RUN] * 2
    assert runner.spent


def test_calls_of_an_earlier_session_count_towards_the_budget():
    earlier = {"teacher": {"big": Usage(calls=2, prompt_tokens=5)}, "student": {}}
    runner = Runner(1, max_lm_calls=3, earlier=earlier)
    with dspy.context(lm=scripted(lambda prompt: {"answer": "yes"}), usage_tracker=runner.meter("student")):
        runner.map(ask, list("abc"), "asking")
    assert runner.meter("student").total().calls == 1
    assert runner.usage()["teacher"]["big"].prompt_tokens == 5


def test_a_cost_cap_holds_for_a_model_with_a_price():
    runner = Runner(1, max_cost=0.001)
    runner.meter("student").add_usage("openai/gpt-4o", {"prompt_tokens": 1000, "completion_tokens": 100})
    assert runner.map(str, [1], "none")[0].error == NOT_RUN


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
