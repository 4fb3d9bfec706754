import json
import random
import re

import dspy
import pytest
from dspy.utils.exceptions import ContextWindowExceededError

from pld_dspy import PLDTeleprompter
from pld_dspy.datasets import load
from pld_dspy.programs import SPIQA, ScienceQA
from pld_dspy.rehearsal import RehearsalEngine, rehearsal_lm
from pld_dspy.rehearsal.skills import SKILLS
from pld_dspy.rules.wording import flaw
from pld_dspy.teacher import Teacher

by_name = pytest.mark.parametrize("skill", SKILLS, ids=lambda skill: type(skill).__name__)


def test_there_are_enough_skills():
    scienceqa = [skill for skill in SKILLS if skill.benchmark == "scienceqa"]
    assert sum(skill.needs_figure for skill in scienceqa) >= 6
    assert not all(skill.needs_figure for skill in scienceqa)
    assert len({skill.subject for skill in scienceqa}) >= 3
    assert {skill.figure_type for skill in SKILLS if skill.benchmark == "spiqa"} == {"plot", "table", "schematic"}


@by_name
@pytest.mark.parametrize("n", [60, pytest.param(300, marks=pytest.mark.slow)])
def test_a_skill_reads_from_pixels_what_it_drew(skill, n):
    distinct, wrong_is_wrong = set(), 0
    for seed in range(n):
        problem = skill.draw(random.Random(seed))
        choices = list(problem.choices)
        assert skill.solve(problem.question, choices, problem.figure, True) == problem.answer
        assert problem.answer in skill.options(problem.question, choices, problem.figure)
        wrong_is_wrong += skill.solve(problem.question, choices, problem.figure, False) != problem.answer
        distinct.add((problem, problem.figure.tobytes() if problem.figure else None))
    assert len(distinct) >= 0.96 * n
    assert wrong_is_wrong >= n / 2, "following the wrong rule must cost something"
    assert skill.needs_figure == (problem.figure is not None)


@by_name
def test_a_skill_knows_its_own_questions_captions_and_rules_only(skill):
    rng = random.Random(0)
    for other in SKILLS:
        for _ in range(40):
            problem = other.draw(rng)
            assert skill.asks(problem.question) == (other is skill)
            if skill.caption_pattern and other.caption_pattern:
                matched = re.search(skill.caption_pattern, problem.caption, re.IGNORECASE)
                assert bool(matched) == (other is skill)
            for correct in (True, False):
                expected = correct if other is skill else None
                assert skill.understands(other.wording(rng, correct)) is expected
    assert len({skill.wording(random.Random(seed), True) for seed in range(40)}) >= 6


FINDERS = [skill for skill in SKILLS if skill.caption_hint]


def test_rules_that_find_and_rules_that_answer_are_told_apart():
    rng = random.Random(0)
    assert {skill.benchmark for skill in FINDERS} == {"spiqa"}
    assert len(FINDERS) == 3
    for skill in FINDERS:
        for correct in (True, False):
            for _ in range(30):
                finding, answering = skill.finding(rng, correct), skill.wording(rng, correct)
                assert flaw(finding) is None
                assert [other.understands_finding(finding) for other in SKILLS if other is not skill] == [None] * (
                    len(SKILLS) - 1
                )
                assert skill.understands_finding(finding) is correct
                assert not any(other.understands(finding) for other in SKILLS)
                assert not any(other.understands_finding(answering) for other in SKILLS)
        hinted = f"of the figure whose caption {skill.caption_hint}"
        assert [other for other in FINDERS if re.search(other.rule_pattern, hinted)] in ([skill], [])


def score(program: dspy.Module, examples: list[dspy.Example]) -> float:
    return sum(program.metric(example, program(**example.inputs())) for example in examples) / len(examples)


def with_rules(program: dspy.Module, rules: list[str], predictor: str = "answer") -> dspy.Module:
    asked = getattr(program, predictor)
    asked.signature = asked.signature.with_instructions(
        "\n".join([asked.signature.instructions, *(f"- {r}" for r in rules)])
    )
    return program


@pytest.mark.parametrize("make", [ScienceQA, SPIQA])
def test_the_student_needs_the_right_rule_and_the_picture(make, rehearsal):
    examples = load(make.dataset, "test", limit=60)
    skills = [skill for skill in SKILLS if skill.benchmark == make.dataset]
    right = [skill.wording(random.Random(0), True) for skill in skills]
    wrong = [skill.wording(random.Random(0), False) for skill in skills]
    assert score(with_rules(make(), right), examples) == 1
    assert score(with_rules(make(), wrong), examples) < 0.4
    assert 0.1 < score(make(), examples) < 0.65
    assert score(with_rules(make(), wrong + right), examples) < 0.4, "of two contradicting rules it follows the first"
    blind = load(make.dataset, "test", limit=60, modality="caption")
    needed = [
        example for example, seen in zip(blind, examples, strict=True) if seen.get("image") or seen.get("figures")
    ]
    if make is ScienceQA:
        assert score(with_rules(make(), right), needed) < 0.7


def found(program: dspy.Module, examples: list[dspy.Example]) -> float:
    return sum(program(**example.inputs()).figure == example.figure for example in examples) / len(examples)


def test_the_student_finds_the_figure_by_the_rule_for_it(rehearsal):
    examples = load("spiqa", "test", limit=30)
    right, wrong = ([skill.finding(random.Random(0), correct) for skill in FINDERS] for correct in (True, False))
    answering = [skill.wording(random.Random(0), True) for skill in FINDERS]
    finder = with_rules(SPIQA(retrieval=True), right, "find")
    assert found(finder, examples) == 1
    assert score(with_rules(finder, answering), examples) == 1
    assert found(with_rules(SPIQA(retrieval=True), wrong + right, "find"), examples) < 0.6, "it follows the first"
    unlearned = with_rules(with_rules(SPIQA(retrieval=True), answering), answering, "find")
    assert 0.1 < found(unlearned, examples) < 0.6, "other rules do not find"
    assert score(unlearned, examples) < 0.8
    for example in examples[:8]:
        plain = finder.find(captions=example.captions, figures=example.figures, question=example.question)
        assert plain.figure == example.figure, "captions without numbers are read as well"


def test_the_student_guesses_from_a_figure_of_another_kind(rehearsal):
    drawn = {skill: skill.draw(random.Random(0)) for skill in FINDERS}
    for skill in FINDERS:
        student = with_rules(SPIQA("figures"), [skill.wording(random.Random(0), True)])
        said = {
            other: student(question=drawn[skill].question, figures=[dspy.Image(drawn[other].figure)]).answer
            for other in FINDERS
        }
        assert said.pop(skill) == drawn[skill].answer
        assert "unknown" in said.values()


def test_attention_is_limited():
    examples = load("scienceqa", "test", limit=30)
    right = [skill.wording(random.Random(0), True) for skill in SKILLS]
    with dspy.context(lm=rehearsal_lm(attention=5)):
        assert score(with_rules(ScienceQA(), right), examples) < 0.9
        assert score(with_rules(ScienceQA(), ["Something else."] * 6 + right), examples) < 0.65


def test_a_prompt_longer_than_the_context_is_refused():
    with dspy.context(lm=rehearsal_lm(context=300)), pytest.raises(ContextWindowExceededError):
        ScienceQA()(question="Why? " * 400, choices=["a", "b"])


@pytest.mark.parametrize("adapter", [dspy.ChatAdapter(), dspy.JSONAdapter()])
@pytest.mark.parametrize("reasoning", [False, True])
def test_both_adapters_and_reasoning_are_understood(rehearsal, adapter, reasoning):
    example = load("scienceqa", "test", limit=1)[0]
    with dspy.context(adapter=adapter):
        assert ScienceQA(reasoning=reasoning)(**example.inputs()).answer in "ABCDE"


def test_the_teacher_errs_as_often_as_it_is_told():
    skill = SKILLS[4]
    for rate in (0.0, 0.5, 1.0):
        with dspy.context(lm=rehearsal_lm(error_rate=rate)):
            asked = {"task": "t", "figures": [], "rationale": "", "answer": "a", "refused": ""}
            rules = [
                Teacher().extract(example=f"question: {skill.draw(random.Random(i)).question} {i}", **asked).rule
                for i in range(60)
            ]
        assert abs(sum(skill.understands(rule) is False for rule in rules) / 60 - rate) < 0.2
        assert len(set(rules)) > 4, "wordings vary"


def test_the_teacher_mends_what_failed():
    skill = SKILLS[4]
    wrong = skill.wording(random.Random(1), False)
    asked = {"task": "t", "successes": "none", "figures": []}
    failures = f"Question 1\nquestion: {skill.draw(random.Random(0)).question}"
    with dspy.context(lm=rehearsal_lm(error_rate=0)):
        (revise,) = Teacher().resolve(rules=f"R1: {wrong}\nR2: Be kind.", failures=failures, **asked).edits
        (add,) = Teacher().resolve(rules="R2: Be kind.", failures=failures, **asked).edits
        (merge,) = Teacher().resolve(rules=f"R1: {wrong}\nR3: {wrong}", failures=failures, **asked).edits
    assert (revise.operation, revise.ids) == ("revise", ("R1",))
    assert (merge.operation, merge.ids) == ("merge", ("R1", "R3"))
    assert add.operation == "add"
    assert all(skill.understands(edit.text) is True for edit in (revise, add, merge))


def test_the_teacher_writes_finding_rules_for_a_finding_task():
    skill, other = FINDERS[0], FINDERS[1]
    asked = {"task": SPIQA(retrieval=True).find.signature.instructions, "figures": []}
    question = f"question: {skill.draw(random.Random(0)).question}"
    wrong = skill.finding(random.Random(1), False)
    with dspy.context(lm=rehearsal_lm(error_rate=0)):
        teacher = Teacher()
        extracted = teacher.extract(example=question, rationale="", answer="a", refused="", **asked).rule
        united = teacher.synthesise(task=asked["task"], rules=[extracted, wrong, extracted]).rule
        failed = {"failures": f"Question 1\n{question}", "successes": "none", **asked}
        (revise,) = teacher.resolve(rules=f"R1: {wrong}\nR2: {other.finding(random.Random(0), True)}", **failed).edits
        (add,) = teacher.resolve(rules=f"R1: {skill.wording(random.Random(0), True)}", **failed).edits
        nothing = teacher.resolve(rules=f"R1: {extracted}", **failed).edits
    assert (revise.operation, revise.ids, add.operation, nothing) == ("revise", ("R1",), "add", [])
    for rule in (extracted, united, revise.text, add.text):
        assert skill.understands_finding(rule) is True


def test_a_program_of_two_predictors_learns_rules_for_both(rehearsal):
    train, val, tests = (load("spiqa", split, limit=n) for split, n in (("train", 40), ("val", 30), ("test", 40)))
    student = SPIQA(retrieval=True)
    compiled = PLDTeleprompter(num_threads=2).compile(student, trainset=train, valset=val)
    assert set(compiled.pld.rules) == {"find", "answer"}
    assert {
        skill for skill in FINDERS for rule in compiled.pld.rules["find"].rules if skill.understands_finding(rule.text)
    }
    assert {skill for skill in FINDERS for rule in compiled.pld.rules["answer"].rules if skill.understands(rule.text)}
    after = score(compiled, tests)
    assert after - score(student, tests) >= 0.3
    for name in ("find", "answer"):
        without = compiled.deepcopy()
        getattr(without, name).signature = getattr(student, name).signature
        assert score(without, tests) <= after - 0.1


def test_a_program_that_holds_the_simulator_saves_and_loads(tmp_path):
    program = ScienceQA()
    program.set_lm(rehearsal_lm(seed=3, attention=9))
    program.save(tmp_path / "program.json")
    again = ScienceQA()
    again.load(tmp_path / "program.json", allow_unsafe_lm_state=True)
    assert again.answer.lm.engine.dump_state() == program.answer.lm.engine.dump_state()
    assert isinstance(again.answer.lm.engine, RehearsalEngine)
    assert json.loads((tmp_path / "program.json").read_text())
