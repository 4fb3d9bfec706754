import base64
import copy
import io
import math
import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import dspy
import pytest
import torch
import transformers as hf
from dspy import lm15
from dspy.utils.exceptions import LMConfigurationError
from PIL import Image
from tiny_models import PATCHES, SPECIAL, save_tiny_models

from pld_dspy.errors import PLDError
from pld_dspy.models.transformers_engine import TransformersEngine
from pld_dspy.run.runner import Runner


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    return save_tiny_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def text(folders):
    return TransformersEngine(str(folders / "text"), device="cpu")


@pytest.fixture(scope="session")
def sees(folders):
    return TransformersEngine(str(folders / "sees"), device="cpu")


def picture(colour: str) -> lm15.ImagePart:
    data = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(data, "PNG")
    return lm15.ImagePart(data=base64.b64encode(data.getvalue()).decode())


def ask(engine: TransformersEngine, *parts: object, **config: object) -> lm15.Response:
    user = lm15.Message.user([lm15.TextPart(part) if isinstance(part, str) else part for part in parts])
    config = {"temperature": 0, "max_tokens": 12, **config}
    return engine.complete(lm15.Request("tiny", (user,), config=lm15.Config(**config)))


@pytest.fixture
def at_once(monkeypatch):
    """Put several questions to an engine while it is busy, and say what came of them and how large the batches were."""
    generate = hf.GenerationMixin.generate
    busy, go, sizes = threading.Event(), threading.Event(), []

    def slowly(self, **inputs):
        if not busy.is_set():
            busy.set()
            go.wait()
        else:
            sizes.append(len(inputs["input_ids"]))
        return generate(self, **inputs)

    def run(engine, questions):
        monkeypatch.setattr(hf.GenerationMixin, "generate", slowly)
        with ThreadPoolExecutor(len(questions) + 1) as pool:
            pool.submit(ask, engine, "first")
            assert busy.wait(60)
            answers = [pool.submit(question) for question in questions]
            while engine._calls.qsize() < len(questions):
                time.sleep(0.001)
            go.set()
        return answers, sizes

    return run


def test_greedy_text_is_the_model_s(text, folders):
    model = hf.AutoModelForCausalLM.from_pretrained(folders / "text")
    tokenizer = hf.AutoTokenizer.from_pretrained(folders / "text")
    prompt = tokenizer("<user>How many?<assistant>", return_tensors="pt")
    written = model.generate(**prompt, do_sample=False, max_new_tokens=12)[0, prompt["input_ids"].shape[1] :]
    answer = ask(text, "How many?")
    assert answer.text == tokenizer.decode(written, skip_special_tokens=True) == ask(text, "How many?", seed=5).text
    assert answer.text != ask(text, "How much?").text
    assert (answer.finish_reason, answer.logprobs) == ("length", None)
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (len("How many?") + 2, 12)


def test_system_user_and_assistant_turns_are_rendered(text):
    turns = (lm15.Message.user("a"), lm15.Message.assistant("bc"), lm15.Message.user("d"))
    request = lm15.Request("tiny", turns, system="rules", config=lm15.Config(temperature=0, max_tokens=5))
    answer = text.complete(request)
    assert answer.usage.input_tokens == len("rulesabcd") + 5
    flat = request.system + "<user>a<assistant>bc<user>d"
    assert text.complete(lm15.Request("tiny", (lm15.Message.user(flat),), config=request.config)).text != answer.text


def test_images_are_seen_in_their_order(sees):
    red, blue = picture("red"), picture("blue")
    shown = [[], [red], [blue], [red, blue], [blue, red]]
    answers = [ask(sees, *images, "Which?", logprobs=0) for images in shown]
    assert len({answer.logprobs[0].logprob for answer in answers}) == len(shown)
    assert answers[3].usage.input_tokens == answers[0].usage.input_tokens + 2 * PATCHES


def test_stop_sequences_end_the_text_and_are_not_in_it(text):
    whole = ask(text, "Tell me", max_tokens=40, logprobs=0)
    stop = whole.text[9:12]
    shown = ["" if item.token in SPECIAL else item.token for item in whole.logprobs]
    needed = next(count for count in range(40) if stop in "".join(shown[:count]))
    answer = ask(text, "Tell me", max_tokens=40, stop=("nowhere", stop), logprobs=0)
    assert answer.text == whole.text[: whole.text.index(stop)]
    assert answer.finish_reason == "stop"
    assert answer.usage.output_tokens == needed
    assert answer.logprobs == whole.logprobs[:needed]


def test_the_end_token_ends_the_text(sees):
    answer = ask(sees, "Tell me", temperature=2, seed=1, max_tokens=2000, logprobs=0)
    assert answer.finish_reason == "stop"
    assert answer.logprobs[-1].token == "<eos>"
    assert "<eos>" not in answer.text
    assert answer.usage.output_tokens == len(answer.logprobs) < 2000


def test_a_seed_repeats_the_text_whatever_else_is_asked(text, at_once):
    sampled = {"temperature": 1.5, "max_tokens": 20}
    alone = ask(text, "Tell me", seed=1, **sampled).text
    assert len({alone, *(ask(text, "Tell me", seed=seed, **sampled).text for seed in (2, 3))}) == 3
    state = torch.get_rng_state()
    answers, sizes = at_once(
        text, [lambda: ask(text, "Tell me", seed=1, **sampled)] * 2 + [lambda: ask(text, "Hm")] * 2
    )
    assert [answer.result().text for answer in answers[:2]] == [alone, alone]
    assert sorted(sizes) == [1, 1, 2]
    assert torch.equal(torch.get_rng_state(), state), "the program's own draws do not change"


def test_sampling_settings_count(text):
    likeliest = ask(text, "Tell me").text
    assert ask(text, "Tell me", temperature=1.5, top_p=0.0001).text == likeliest
    assert ask(text, "Tell me", temperature=1.5, top_k=1).text == likeliest
    assert ask(text, "Tell me", temperature=1.5, seed=1).text != likeliest


@pytest.mark.parametrize("kind", ["text", "sees"])
def test_many_threads_share_batches_and_get_their_own_texts(kind, request, at_once):
    engine = request.getfixturevalue(kind)
    words = ["Why?", "Name the longest river of them all", "How many?", "a", "Is this a question"]
    shown = [("red", 1), ("blue", 2), ("red", 1), ("lime", 1), ("blue", 2)] if kind == "sees" else [("", 0)] * 5
    asked = [
        [*(picture(colour) for _ in range(count)), word] for (colour, count), word in zip(shown, words, strict=True)
    ]
    alone = [ask(engine, *parts) for parts in asked]
    answers, sizes = at_once(engine, [lambda parts=parts: ask(engine, *parts) for parts in asked])
    assert [answer.result() for answer in answers] == alone
    assert sizes == [5]
    assert len({answer.text for answer in alone}) == 5


def test_a_batch_has_a_limit_and_a_closed_engine_loads_again(folders, at_once):
    engine = TransformersEngine(str(folders / "text"), batch_size=2)
    answers, sizes = at_once(engine, [lambda: ask(engine, "Why?")] * 5)
    assert sizes == [2, 2, 1]
    engine.close()
    engine.close()
    assert ask(engine, "Why?") == answers[0].result()
    engine.close()


def test_an_error_reaches_only_its_caller(text, at_once):
    long, seeing = (lambda: ask(text, "x" * 250)), (lambda: ask(text, picture("red"), "Why?"))
    answers, _ = at_once(text, [lambda: ask(text, "Why?"), long, seeing, lambda: ask(text, "How?")])
    with pytest.raises(lm15.ContextLengthError, match="252 tokens of prompt and 12 of answer"):
        answers[1].result()
    assert isinstance(answers[2].exception(), lm15.ConfigurationError)
    assert [answers[0].result(), answers[3].result()] == [ask(text, "Why?"), ask(text, "How?")]


def test_log_probabilities_are_read_as_from_litellm(text):
    lm = dspy.LM("hf:tiny", engine=text, temperature=0, max_tokens=3, cache=False)
    (output,) = lm("Is it so?", logprobs=True, top_logprobs=5)
    first = output["logprobs"]["content"][0]
    tokens = [item.token for item in output["logprobs"].content]
    assert output["text"] == "".join(token for token in tokens if token not in SPECIAL)
    assert first["top_logprobs"][0] == {key: first[key] for key in ("token", "logprob", "bytes")}
    values = [other["logprob"] for other in first["top_logprobs"]]
    assert values == sorted(values, reverse=True)
    assert (len(values), len(tokens)) == (5, 3)
    assert 0 < sum(map(math.exp, values)) <= 1
    (every,) = lm("Is it so?", logprobs=True, top_logprobs=1000)
    assert sum(
        math.exp(other["logprob"]) for other in every["logprobs"]["content"][0]["top_logprobs"]
    ) == pytest.approx(1)
    (sampled,) = lm("Is it so?", logprobs=True, top_logprobs=5, temperature=2, top_p=0.5, seed=1)
    assert sampled["logprobs"]["content"][0]["top_logprobs"] == first["top_logprobs"], "of the model, not the sampling"


class Raw(dspy.ChatAdapter):
    """Takes any text for an answer, since random weights do not keep to a format."""

    def parse(self, signature, completion):
        return dict.fromkeys(signature.output_fields, completion)


def test_dspy_programs_run_on_it(sees):
    torch.manual_seed(0)
    program = dspy.Predict("image: dspy.Image, question -> answer")
    lm = dspy.LM("hf:tiny", engine=sees, temperature=0, max_tokens=8)
    red, blue = (dspy.Image(Image.new("RGB", (40, 30), colour)) for colour in ("red", "blue"))
    with dspy.context(lm=lm, adapter=Raw(), track_usage=True):
        first, second = (program(image=image, question="Which?", config={"logprobs": True}) for image in (red, blue))
        spread = program(image=red, question="Which?", config={"n": 3, "temperature": 2})
    assert 0 < len(first.answer) <= 8 == len(first.logprobs["content"])
    assert first.logprobs["content"][0]["logprob"] != second.logprobs["content"][0]["logprob"]
    assert first.get_lm_usage()["hf:tiny"]["completion_tokens"] == 8
    assert len(set(spread.completions.answer)) == 3


def test_copies_share_the_model_and_states_do_not_hold_it(sees):
    lm = dspy.LM("hf:tiny", engine=sees)
    assert lm.copy(temperature=1).engine is copy.deepcopy(lm).engine is sees
    for other in (pickle.loads(pickle.dumps(sees)), TransformersEngine.load_state(sees.dump_state())):
        assert other.dump_state() == sees.dump_state()
        assert other is not sees


@pytest.mark.parametrize("folder", ["nowhere", "empty"])
def test_a_model_that_cannot_be_loaded_stops_a_run_at_once(folders, folder):
    lm = dspy.LM("hf:tiny", engine=TransformersEngine(str(folders / folder)), cache=False)
    with pytest.raises(PLDError, match="does not answer"):
        Runner(num_threads=1).map("student", lm, ["a", "b"], "asking")
    with pytest.raises(LMConfigurationError, match=f"{folder}' cannot be loaded .name a saved model's folder or"):
        lm("again")


def test_what_it_does_not_take_is_said(text, sees):
    for wrong, error, says in [
        (lambda: ask(text, picture("red")), lm15.ConfigurationError, "reads text only"),
        (lambda: ask(text, "a", presence_penalty=1.0), lm15.ConfigurationError, "presence_penalty"),
        (lambda: ask(sees, lm15.AudioPart(data="AAAA")), lm15.InvalidRequestError, "audio"),
        (lambda: ask(sees, lm15.ImagePart(url="https://example.org/a.png")), lm15.InvalidRequestError, "as data"),
        (lambda: ask(sees, lm15.ImagePart(data="AAAA")), lm15.InvalidRequestError, "cannot be read"),
        (lambda: TransformersEngine("x", batch_size=0), ValueError, "at least 1"),
    ]:
        with pytest.raises(error, match=says):
            wrong()


def test_a_model_without_chat_template_is_refused(folders, tmp_path):
    hf.AutoModelForCausalLM.from_pretrained(folders / "text").save_pretrained(tmp_path)
    tokenizer = hf.AutoTokenizer.from_pretrained(folders / "text")
    tokenizer.chat_template = None
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(lm15.ConfigurationError, match="no chat template"):
        ask(TransformersEngine(str(tmp_path)), "a")


def test_nothing_is_printed_while_generating(text, capfd):
    ask(text, "warm")
    capfd.readouterr()
    ask(text, "Why?", stop=("z",), temperature=0)
    ask(text, "Why?", stop=("z",), temperature=1, top_p=0.9)
    assert capfd.readouterr() == ("", "")
