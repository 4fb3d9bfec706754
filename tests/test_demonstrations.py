"""Labelled demonstrations reach a model in the form of the program's questions."""

import dspy
import pytest
from dspy.lm15 import Message, Response, TextPart, Usage

from pld_dspy.experiment import load_task


class Listening:
    """Keeps requests, and answers each with the first figure and choice."""

    def __init__(self):
        self.requests = []

    def complete(self, request):
        self.requests.append(request)
        text = "[[ ## figure ## ]]\n1\n\n[[ ## answer ## ]]\nA\n\n[[ ## completed ## ]]"
        usage = Usage(input_tokens=1, output_tokens=1, total_tokens=2)
        message = Message.assistant([TextPart(text)])
        return Response(id=None, model=request.model, message=message, finish_reason="stop", usage=usage)


def asked(name, optimizer, **settings):
    """For each predictor, its demonstrations and its question as the model gets them: texts and numbers of images."""
    task = load_task(name, "sample", {"train": 6, "test": 1}, seed=0, program_settings=settings)
    engine = Listening()
    with dspy.context(lm=dspy.LM("listening", engine=engine, cache=False)):
        compiled = optimizer.compile(task.program, trainset=task.examples["train"])
        del engine.requests[:]
        compiled(**task.examples["test"][0].inputs())
    return [
        [
            ("".join(part.text for part in message.parts if part.type == "text"), [p.type for p in message.parts])
            for message in request.messages
            if message.role == "user"
        ]
        for request in engine.requests
    ]


@pytest.mark.parametrize("optimizer", [dspy.LabeledFewShot(4), dspy.BootstrapFewShot(lambda *_: True)])
def test_choices_have_letters_in_demonstrations_too(optimizer):
    (prompts,) = asked("scienceqa", optimizer)
    assert len(prompts) >= 5
    assert all("(A) " in text and "(B) " in text and "«" not in text for text, _ in prompts)


def test_captions_have_the_numbers_of_their_images_in_demonstrations_too():
    (prompts,) = asked("spiqa", dspy.LabeledFewShot(4))
    assert len(prompts) == 5
    for text, kinds in prompts:
        assert "Image 1: " in text
        assert text.count("Image ") == kinds.count("image") > 1


def test_where_the_figure_is_found_first_demonstrations_of_the_answer_show_only_theirs():
    find, answer = asked("spiqa", dspy.LabeledFewShot(4), retrieval=True)
    assert all(kinds.count("image") > 1 for _, kinds in find)
    assert all(text.count("Image ") == kinds.count("image") == 1 for text, kinds in answer)


def test_without_demonstrations_nothing_changes():
    ((question,),) = asked("scienceqa", dspy.LabeledFewShot(0))
    assert "(A) " in question[0]


def test_a_demonstration_written_by_hand_stays_as_it_is():
    demo = dspy.Example(question="Is water wet?", context="", choices="(A) yes\n(B) no", answer="A")
    program, engine = load_task("scienceqa", "sample", {"test": 1}, modality="text").program, Listening()
    program.answer.demos = [demo]
    with dspy.context(lm=dspy.LM("listening", engine=engine, cache=False)):
        program(question="Is fire cold?", choices=["yes", "no"])
    text = "".join(part.text for message in engine.requests[0].messages for part in message.parts)
    assert text.count("(A) yes\n(B) no") == 2
