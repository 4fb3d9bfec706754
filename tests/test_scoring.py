import io
import json
import math
from importlib.metadata import EntryPoint

import dspy
import pytest
from dspy.lm15 import Message, Response, TextPart, TokenLogprob, TopLogprob, Usage
from rich.console import Console
from scripted import scripted

from pld_dspy.errors import PLDError
from pld_dspy.experiment.compiling import Task, load_program, load_task
from pld_dspy.experiment.scoring import score
from pld_dspy.metrics import L3Score, Measure, MeasureScores, TextMeasure, measure, rouge_l
from pld_dspy.programs import SPIQA, ScienceQA
from pld_dspy.report.tables import score_table


class JudgingEngine:
    """A judge that is sure of "yes" where the candidate is the gold answer."""

    def __init__(self, logprobs=True):
        self.logprobs, self.prompts = logprobs, []

    def complete(self, request):
        text = request.messages[-1].parts[0].text
        self.prompts.append(text)
        gold, said = (
            text.partition(f"{name} answer: ")[2].partition(" \n")[0] for name in ("Ground-truth", "Candidate")
        )
        yes, no = (0.9, 0.05) if gold == said else (0.05, 0.9)
        top = [
            TopLogprob(token=token, logprob=math.log(p))
            for token, p in zip(("Yes", "No", "a", "b", "c"), (yes, no, 0.01, 0.01, 0.01), strict=True)
        ]
        return Response(
            id=None,
            model=request.model,
            message=Message.assistant([TextPart("Yes")]),
            finish_reason="stop",
            usage=Usage(input_tokens=9, output_tokens=1, total_tokens=10),
            logprobs=[TokenLogprob(token="Yes", logprob=0.0, top=tuple(top))] if self.logprobs else None,
        )


def judge(**options):
    return dspy.LM("judge", engine=JudgingEngine(**options), cache=False)


def task(n=4):
    examples = [
        dspy.Example(
            question_id=f"p/{i}", question=f"Which method is number {i}?", answer=f"method {i}", captions=["a", "b"],
            figures=[], passages="", figure_type="plot", referred=["2"],
        ).with_inputs("question", "captions", "figures", "passages")
        for i in range(n)
    ]  # fmt: skip
    return Task("spiqa", "here", SPIQA(modality="caption"), {"test": examples}, "caption")


def student():
    """Answers rightly below 2, wrongly at 2, and unreadably above."""

    def script(prompt):
        number = int(prompt.fields["question"].rstrip("?").split()[-1])
        return "what?" if number > 2 else {"answer": f"method {number}" if number < 2 else "no idea"}

    return scripted(script)


def test_scores_with_the_benchmarks_table_and_a_judge(tmp_path):
    lm, judging = student(), judge()
    found = score(task(), "test", lm, measures=[L3Score(judging)], log_dir=tmp_path / "run")
    assert (found.n, found.errors, found.score, found.modality) == (4, 1, 0.5, "caption")
    everything = found.breakdown.groups[-1]
    assert everything.name == "all"
    assert everything.scores["word F1"] == 0.5
    assert everything.scores["unreadable"] == 0.25
    sure = 0.9 / 0.95
    assert everything.scores["L3Score"] == pytest.approx((2 * sure + (1 - sure) + 0) / 4)
    assert len(judging.engine.prompts) == 1 + 3  # a trial, and every answer that could be read
    assert found.usage["judge"].calls == 4
    assert found.usage["student"].calls == len(lm.engine.prompts)
    measures = json.loads((tmp_path / "run/measures.json").read_text())
    assert measures["p/0"] == {"word F1": 1.0, "unreadable": 0.0, "L3Score": pytest.approx(sure)}
    assert measures["p/3"] == {"word F1": 0.0, "unreadable": 1.0, "L3Score": 0.0}
    assert json.loads((tmp_path / "run/scores.json").read_text()) == json.loads(found.model_dump_json())


def test_a_second_call_goes_on_in_the_folder_and_another_student_does_not(tmp_path):
    lm = student()
    first = score(task(), "test", lm, log_dir=tmp_path / "run")
    asked = len(lm.engine.prompts)
    again = score(task(), "test", lm, log_dir=tmp_path / "run")
    assert again.score == first.score
    assert again.usage["student"].calls == len(lm.engine.prompts), "calls of both"
    assert len(lm.engine.prompts) - asked <= 2  # only what could not be read is asked again
    with pytest.raises(PLDError, match="another data, n"):
        score(task(3), "test", lm, log_dir=tmp_path / "run")


def test_a_judge_without_log_probabilities_is_refused_before_the_student_is_asked():
    lm = student()
    with pytest.raises(PLDError, match="The judge judge returned 0 log-probabilities"):
        score(task(), "test", lm, measures=[L3Score(judge(logprobs=False))])
    assert lm.engine.prompts == []


def test_measures_that_are_not_there_are_refused_before_the_student_is_asked(monkeypatch):
    lm = student()
    monkeypatch.setenv("PATH", "")
    with pytest.raises(PLDError, match="need a Java runtime"):
        score(task(), "test", lm, measures=[measure("rouge_l")])
    assert lm.engine.prompts == []


def test_overlap_measures_stand_in_the_table():
    found = score(task(), "test", student(), measures=[measure("rouge_l")])
    said, gold = ["method 0", "method 1", "no idea", ""], [f"method {i}" for i in range(4)]
    assert found.breakdown.columns["ROUGE-L"] == rouge_l(said, gold).examples


class Words(Measure):
    """What somebody else may add: it counts words, and needs a dictionary."""

    heading = "words"
    dictionary = True

    def check(self, examples, runner):
        if not self.dictionary:
            raise PLDError("words needs a dictionary.")

    def score(self, examples, answers, runner):
        counts = [float(len((answer or "").split())) for answer in answers]
        return MeasureScores(counts, overall=sum(counts))


def test_a_measure_of_ones_own_stands_in_the_table_and_says_early_what_it_lacks(tmp_path):
    found = score(task(), "test", student(), measures=[Words()], log_dir=tmp_path / "run")
    assert found.breakdown.columns["words"] == [2.0, 2.0, 2.0, 0.0]
    assert found.breakdown.overall == {"words of the set": 6.0}
    assert json.loads((tmp_path / "run/measures.json").read_text())["p/0"]["words"] == 2.0
    lacking, lm = Words(), student()
    lacking.dictionary = False
    with pytest.raises(PLDError, match="needs a dictionary"):
        score(task(), "test", lm, measures=[lacking])
    assert lm.engine.prompts == []


def test_an_installed_package_adds_a_measure_by_name(monkeypatch):
    entry = EntryPoint("words", f"{__name__}:WORDS", "pld_dspy.measures")
    monkeypatch.setattr("pld_dspy.plugins.entry_points", lambda group: [entry] if group == entry.group else [])
    assert measure("words") is WORDS
    with pytest.raises(PLDError, match="no measure 'bleu'; there are: rouge_l, meteor, cider, words"):
        measure("bleu")


WORDS = Words()


def test_gold_answers_are_missed_before_the_student_is_asked():
    lm, unlabelled = student(), task()
    del unlabelled.examples["test"][3]["answer"]
    with pytest.raises(PLDError, match="Example p/3 has no label `answer`"):
        score(unlabelled, "test", lm, measures=[TextMeasure("same", lambda answers, gold: MeasureScores([]))])
    assert lm.engine.prompts == []


def test_a_program_without_a_table_gets_its_score_and_measures():
    program = dspy.Predict("question -> answer")
    examples = [dspy.Example(question="Which method is number 0?", answer="method 0").with_inputs("question")]
    found = score(Task("mine", "here", program, {"test": examples}), "test", student())
    assert (found.score, found.breakdown) == (1.0, None)
    measured = score(Task("mine", "here", program, {"test": examples}), "test", student(), measures=[Words()])
    assert measured.breakdown.groups[-1].scores == {"score": 1.0, "words": 2.0}
    console = Console(file=io.StringIO(), width=100)
    console.print(score_table(found))
    title, *_ = shown = console.file.getvalue().splitlines()
    assert title.startswith("mine, test, image: scripted")
    assert any("100.0" in line for line in shown)
    assert shown[-1].startswith("In percent; 0 whose reply was of no use")


def test_nothing_left_to_score_is_said():
    with pytest.raises(PLDError, match="No example of test is left"):
        score(task(0), "test", student())


def test_settings_reach_program_and_loader_and_wrong_ones_are_named():
    found = load_task(
        "scienceqa", "sample", {"test": 2}, modality="caption", program_settings={"reasoning": True},
        data_settings={"longest_side": 64},
    )  # fmt: skip
    signature = found.program.predictors()[0].signature
    assert {"caption", "reasoning"} <= {*signature.fields}
    assert "image" not in signature.fields
    with pytest.raises(PLDError, match=r"program scienceqa does not take these settings: .*colour"):
        load_task("scienceqa", "sample", {"test": 2}, program_settings={"colour": 1})
    with pytest.raises(PLDError, match="limit is no setting of the data"):
        load_task("scienceqa", "sample", {"test": 2}, data_settings={"limit": 1})


def test_a_compiled_program_loads_into_its_like_only(tmp_path):
    compiled = ScienceQA()
    compiled.answer.signature = compiled.answer.signature.with_instructions("Answer well.")
    compiled.save(tmp_path / "program.json")
    same = load_program(ScienceQA(), tmp_path / "program.json")
    assert same.answer.signature.instructions == "Answer well."
    for other in (ScienceQA("caption"), ScienceQA(reasoning=True), SPIQA(), SPIQA(retrieval=True)):
        before = other.dump_state()
        with pytest.raises(PLDError, match="compiled with other settings, such as the modality"):
            load_program(other, tmp_path / "program.json")
        assert other.dump_state() == before


def test_a_model_that_was_saved_with_a_program_is_not_taken(tmp_path):
    compiled = ScienceQA()
    compiled.set_lm(dspy.LM("openai/other-model", api_key="none"))
    compiled.save(tmp_path / "program.json")
    found = load_program(ScienceQA(), tmp_path / "program.json")
    assert [predictor.lm for predictor in found.predictors()] == [None]


def test_settings_that_are_no_truth_values_are_refused():
    assert load_task("spiqa", "sample", {"test": 1}, program_settings={"retrieval": False}).program.retrieval is False
    for settings in ({"retrieval": "no"}, {"reasoning": "maybe"}):
        with pytest.raises(PLDError, match="is true or false"):
            load_task("spiqa", "sample", {"test": 1}, program_settings=settings)
    with pytest.raises(PLDError, match="modality is no setting of the program"):
        load_task("scienceqa", "sample", {"test": 1}, program_settings={"modality": "caption"})


def test_halves_of_characters_in_a_reply_are_kept_from_files(tmp_path):
    found = score(task(1), "test", scripted(lambda prompt: {"answer": "a \ud800"}), log_dir=tmp_path / "run")
    assert found.errors == 0
    assert json.loads((tmp_path / "run/evaluations.jsonl").read_text())["outputs"] == {"answer": "a ?"}


def test_the_calls_of_another_judge_are_not_counted_as_this_ones(tmp_path):
    score(task(), "test", student(), measures=[L3Score(judge())], log_dir=tmp_path / "run")
    other = dspy.LM("other", engine=JudgingEngine(), cache=False)
    found = score(task(), "test", student(), measures=[L3Score(other)], log_dir=tmp_path / "run")
    assert found.usage["judge"].calls == len(other.engine.prompts) == 4
