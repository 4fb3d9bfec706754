import json

import dspy
import pytest
from scripted import scripted

from pld_dspy.datasets.spiqa import MODALITIES
from pld_dspy.errors import PLDError
from pld_dspy.metrics.spiqa import parse_figure
from pld_dspy.programs.spiqa import SPIQA

CAPTIONS = ["Fig. 4 A plot.", "Table 1 Scores.", "Fig. 1 A sketch."]
PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)
FIGURES = [dspy.Image(PIXEL) for _ in CAPTIONS]
EXAMPLE = dspy.Example(
    question="Which?", captions=CAPTIONS, figures=FIGURES, passages="All of it.", answer="This one", figure="2"
).with_inputs("question", "captions", "figures", "passages")


def asked(program, figure="2"):
    """The prompts of one question, and the prediction."""
    prompts = []

    def world(prompt):
        prompts.append(prompt)
        return {"figure": figure, "answer": "that one", "reasoning": "Because."}

    with dspy.context(lm=scripted(world)):
        prediction = program(**EXAMPLE.inputs())
    return prompts, prediction


@pytest.mark.parametrize("modality", MODALITIES)
def test_a_modality_has_its_fields_and_what_questions_share_comes_first(modality):
    shown = modality.removesuffix("+text")
    fields = {"image": ["captions", "figures"], "figures": ["figures"], "text": []}.get(shown, ["captions"])
    fields = [*fields, *(["passages"] if modality.endswith("text") else []), "question"]
    program = SPIQA(modality)
    assert list(program.answer.signature.input_fields) == fields
    assert list(program.answer.signature.output_fields) == ["answer"]
    ((prompt,), prediction) = asked(program)
    assert list(prompt.fields) == fields
    assert len(prompt.figures) == (3 if "figures" in fields else 0)
    assert prediction.answer == "that one"
    assert "figure" not in prediction


def test_instructions_name_what_is_given():
    told = {modality: SPIQA(modality).answer.signature.instructions for modality in MODALITIES}
    assert len(set(told.values())) >= 7
    assert "caption" not in told["figures"]
    assert "figure" not in told["text"]
    assert "descriptions" in told["describe"]
    assert all(("from its text" in text) == modality.endswith("text") for modality, text in told.items())


def test_captions_are_numbered_in_the_prompt_only():
    (prompt,), _ = asked(SPIQA("caption"))
    assert prompt.texts("captions") == [
        "Image 1: Fig. 4 A plot.",
        "Image 2: Table 1 Scores.",
        "Image 3: Fig. 1 A sketch.",
    ]
    assert EXAMPLE.captions == CAPTIONS


@pytest.mark.parametrize("retrieval", [False, True])
def test_reasoning(retrieval):
    program = SPIQA(reasoning=True, retrieval=retrieval)
    prompts, prediction = asked(program)
    assert all("reasoning" in prompt.outputs for prompt in prompts)
    assert prediction.answer == "that one"
    prompts, _ = asked(SPIQA(retrieval=retrieval))
    assert not any("reasoning" in prompt.outputs for prompt in prompts)


@pytest.mark.parametrize("modality", [modality for modality in MODALITIES if modality != "text"])
def test_with_retrieval_only_the_found_figure_is_answered_from(modality):
    program = SPIQA(modality, retrieval=True)
    assert [name for name, _ in program.named_predictors()] == ["find", "answer"]
    assert program.find.signature.instructions.startswith("Find the figure ")
    (find, answer), prediction = asked(program, "Image 2")
    assert list(find.fields) == list(answer.fields)
    assert (find.outputs, answer.outputs) == (["figure"], ["answer"])
    if "captions" in find.fields:
        assert len(find.texts("captions")) == 3
        assert answer.texts("captions") == ["Image 2: Table 1 Scores."]
    if "figures" in find.fields:
        assert (len(find.figures), len(answer.figures)) == (3, 1)
    assert (prediction.figure, prediction.answer) == ("2", "that one")


def test_the_found_figure_is_the_one_that_was_named():
    program = SPIQA("figures", retrieval=True)
    with dspy.context(lm=scripted(lambda prompt: {"figure": "2", "answer": "x"}), trace=[]):
        program(question="?", figures=FIGURES)
        _, (_, given, _) = dspy.settings.trace
    (figure,) = given["figures"]
    assert figure is FIGURES[1]


@pytest.mark.parametrize("reply", ["none of them", "4", "Image 1 or Image 2"])
def test_after_an_unreadable_number_all_figures_are_answered_from(reply):
    (_, answer), prediction = asked(SPIQA(retrieval=True), reply)
    assert (len(answer.texts("captions")), len(answer.figures)) == (3, 3)
    assert (prediction.figure, prediction.answer) == (reply, "that one")


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("2", 2),
        (" 2. ", 2),
        ("(2)", 2),
        ("Image 2", 2),
        ("**Image 2**", 2),
        ("image #2", 2),
        ("2: Table 1 Scores.", 2),
        ("Image 2: Figure 5: Results on 3 sets", 2),
        ("The answer is in Image 2.", 2),
        ("Image 2, since image 2 has 3 curves", 2),
        ("Image 2 or image 3", None),
        ("Images 2 and 3", None),
        ("2 or 3", None),
        ("Figure 2", None),
        ("Image 0", None),
        ("6", None),
        ("Image 17", None),
        ("", None),
        ("none", None),
    ],
)
def test_parse_figure(text, number):
    assert parse_figure(text, 5) == number


def test_answers_in_words_have_no_numbers():
    program = SPIQA(retrieval=True)
    found = dspy.Prediction(figure="3", answer="that one")
    assert program.in_words(EXAMPLE, found) == "the figure with the caption: Fig. 1 A sketch.\nthat one"
    assert program.in_words(EXAMPLE, dspy.Example(figure="2")) == "the figure with the caption: Table 1 Scores."
    assert program.in_words(EXAMPLE, dspy.Example(figure="several")) == "the figure several"
    assert program.in_words(EXAMPLE, dspy.Example(answer="so")) == "so"
    assert program.in_words(EXAMPLE, EXAMPLE.labels()) == "the figure with the caption: Table 1 Scores.\nThis one"
    assert SPIQA().in_words(EXAMPLE, EXAMPLE.labels()) == "This one", "finding is not this program's task"


def test_the_metric_is_word_f1():
    def scored(answer):
        return SPIQA.metric(EXAMPLE, dspy.Prediction(answer=answer))

    assert scored("this one") == 1
    assert scored("something else") == 0
    assert scored("this") == pytest.approx(2 / 3)


def test_what_cannot_be_is_refused():
    with pytest.raises(PLDError, match="SPIQA's modality is one of image"):
        SPIQA("video")
    with pytest.raises(PLDError, match="no figure to find with the modality 'text'"):
        SPIQA("text", retrieval=True)


def test_a_saved_program_loads(tmp_path):
    program = SPIQA("describe+text", retrieval=True)
    program.find.signature = program.find.signature.with_instructions("Find the figure at once.")
    program.save(tmp_path / "program.json")
    assert json.loads((tmp_path / "program.json").read_text()).keys() >= {"find", "answer"}
    again = SPIQA("describe+text", retrieval=True)
    again.load(tmp_path / "program.json")
    assert again.dump_state() == program.dump_state()
