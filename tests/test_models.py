import dspy
import pytest

from pld_dspy import PLDTeleprompter
from pld_dspy.cli.arguments import student_model
from pld_dspy.errors import PLDError
from pld_dspy.models import described, in_process, language_model, simulated
from pld_dspy.rehearsal import rehearsal_lm


def test_settings_are_sent_and_typed():
    lm = language_model("student", "openai/small", settings=["temperature=0", "max_tokens=64", "engine=litellm"])
    assert (lm.kwargs["temperature"], lm.kwargs["max_tokens"], lm.engine) == (0, 64, "litellm")


def test_a_hosted_key_never_goes_to_another_address(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    lm = language_model("teacher", "openai/big", "http://127.0.0.1:1/v1")
    assert lm.kwargs["api_key"] == "none"
    monkeypatch.setenv("PLD_TEACHER_API_KEY", "local")
    assert language_model("teacher", "openai/big", "http://127.0.0.1:1/v1").kwargs["api_key"] == "local"
    assert "api_key" not in language_model("teacher", "openai/big").kwargs


def test_the_rehearsal_takes_its_own_settings():
    assert language_model("teacher", "rehearsal", settings=["error_rate=0.5"], seed=3).model.startswith(
        "rehearsal:seed=3,error_rate=0.5"
    )


def test_a_model_in_this_process_is_named_by_its_folder(monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    settings = ["device=cpu", "batch_size=2", "temperature=0"]
    lm = language_model("student", "hf:~/models/small/", settings=settings)
    assert (lm.model, lm.kwargs["temperature"]) == ("hf:/home/someone/models/small", 0)
    state = {"model": "/home/someone/models/small", "device": "cpu", "dtype": "auto", "batch_size": 2}
    assert lm.engine.dump_state() == state
    assert language_model("student", "hf:name/of", settings=["dtype=bfloat16"]).model == "hf:name/of@dtype=bfloat16"
    with pytest.raises(PLDError, match="leave out the address"):
        language_model("student", "hf:small", "http://127.0.0.1:1/v1")


@pytest.mark.parametrize(
    ("name", "settings", "says"),
    [
        ("openai/x", ["temperature"], "name=value"),
        ("rehearsal", ["temperature=0"], "cannot be set up"),
        ("openai/", [], "no model id"),
        ("hf:", [], "needs a name"),
        ("hf:small", ["batch_size=0"], "at least 1"),
        ("hf:small", ["batch_size=many"], "cannot be set up"),
    ],
)
def test_what_cannot_be_is_said(name, settings, says):
    with pytest.raises(PLDError, match=says):
        language_model("student", name, settings=settings)


def test_folders_of_the_same_name_are_different_models(tmp_path, monkeypatch):
    names = set()
    for place in ("a", "b"):
        (tmp_path / place / "model").mkdir(parents=True)
        monkeypatch.chdir(tmp_path / place)
        names.add(language_model("student", "hf:model").model)
    assert names == {f"hf:{tmp_path / place / 'model'}" for place in ("a", "b")}, "DSPy's cache goes by the name"


@pytest.mark.parametrize("setting", ["max_tokens=0", "temperature=hot", "top_p=5"])
def test_settings_that_no_model_takes_are_refused_at_once(setting):
    with pytest.raises(PLDError, match="cannot be set up"):
        language_model("student", "openai/x", settings=[setting])


def test_a_run_is_told_by_all_settings_but_keys_and_addresses():
    lm = dspy.LM("openai/x", temperature=0, stop=["."], api_key="secret", api_base="http://here")
    told = described(lm)
    assert told.startswith("openai/x ")
    assert "stop=['.']" in told
    assert "secret" not in told
    assert "http" not in told


@pytest.mark.parametrize(
    ("model", "is_simulated", "is_in_process"),
    [
        ("rehearsal", True, True),
        ("rehearsal:seed=3,error_rate=0.5", True, True),
        ("hf:rehearsal", False, True),
        ("ocr", False, True),
        ("openai/rehearsal", False, False),
        ("openai/ocr", False, False),
    ],
)
def test_names_tell_what_is_simulated_and_what_runs_here(model, is_simulated, is_in_process):
    assert (simulated(model), in_process(model)) == (is_simulated, is_in_process)


def test_a_reasoning_model_gets_no_settings_that_it_refuses():
    lm = student_model("openai/gpt-5", None, None, 0)
    assert "temperature" not in lm.kwargs or lm.kwargs["temperature"] in (None, 1.0)
    assert student_model("openai/gpt-4o", None, None, 0).kwargs["temperature"] == 0
    with pytest.raises(PLDError, match=r"The student 'openai/gpt-5' cannot be set up: .*temperature"):
        student_model("openai/gpt-5", None, ["temperature=0.5"], 0)


def test_a_name_is_no_language_model():
    student = dspy.Predict("question -> answer")
    rows = [{"question": f"{i}?", "answer": "yes"} for i in range(4)]
    with dspy.context(lm=rehearsal_lm()), pytest.raises(PLDError, match=r"dspy.LM\('openai/gpt-4o'\), not 'openai/x'"):
        PLDTeleprompter(teacher_lm="openai/x").compile(student, trainset=rows)
