import dspy
import pytest
from dspy.lm15 import Message, Request
from hypothesis import given
from hypothesis import strategies as st

from pld_dspy.experiment.plan import TOKENS_PER_IMAGE
from pld_dspy.optimizers.prompts import flattened, shared

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
OTHER = {"type": "image_url", "image_url": {"url": "data:image/png;base64,BBBB"}}


def share(*texts: str) -> float:
    return shared({("answer",): texts})


def test_what_all_prompts_start_with_is_shared():
    assert share("rules: abc", "rules: xyz") == pytest.approx(7 / 10)
    assert share("same", "same", "same") == 1.0
    assert share("abc", "xyz") == 0.0


def test_of_a_single_prompt_nothing_can_be_said():
    assert share("abc") == 0.0
    assert shared({}) == 0.0


def test_predictors_have_prefixes_of_their_own():
    prompts = {("figure",): ["find 1", "find 2"], ("answer",): ["answer 1", "answer 2"]}
    assert shared(prompts) == pytest.approx((2 * 5 + 2 * 7) / (2 * 6 + 2 * 8))


def test_a_picture_counts_as_its_tokens_and_ends_the_prefix_where_it_differs():
    texts = [flattened(None, [{"role": "user", "content": ["rules", each]}])[0] for each in (IMAGE, OTHER)]
    assert share(*texts) < 10 / (4 * TOKENS_PER_IMAGE)
    shown = [flattened(None, [{"role": "user", "content": [IMAGE, each]}])[0] for each in ("a", "b")]
    assert share(*shown) > 0.99


def test_requests_in_every_form_are_read():
    content = [{"type": "text", "text": "look"}, IMAGE]
    messages = [{"role": "system", "content": "rules"}, {"role": "user", "content": content}]
    text, images = flattened(None, messages)
    assert text.startswith("rules\nlook\n")
    assert images == 1
    assert "AAAA" not in text
    assert flattened("hello", None) == ("hello", 0)
    request = Request(model="m", system="rules", messages=(Message.user("look"),))
    assert flattened(request, None) == ("rules\nlook", 0)


def test_pictures_of_a_real_prompt_are_counted():
    picture = dspy.Image("data:image/png;base64,iVBORw0KGgo=")
    messages = dspy.ChatAdapter().format(
        dspy.Signature("image: dspy.Image, question -> answer"),
        [{"image": picture, "question": "a", "answer": "b"}],
        {"image": picture, "question": "c"},
    )
    assert flattened(None, messages)[1] == 2


@given(st.lists(st.text(max_size=30), min_size=2, max_size=8))
def test_the_share_is_a_fraction(texts):
    assert 0.0 <= share(*texts) <= 1.0
