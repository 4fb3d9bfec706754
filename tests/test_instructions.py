import dspy

from pld_dspy.programs import SPIQA, ScienceQA
from pld_dspy.rules.ruleset import HEADER, RuleSet
from pld_dspy.student.instructions import instruct

RULES = RuleSet.of([("if big, then small", ["a"] * 3), ("if small, then big", ["b"])])


def test_the_student_is_left_as_it_was_and_the_copy_reads_the_rules():
    student = ScienceQA()
    before = student.dump_state()
    program = instruct(student, {"answer": RULES})
    assert student.dump_state() == before
    own = student.answer.signature.instructions
    assert program.answer.signature.instructions == f"{own}\n\n{HEADER}\n- if big, then small\n- if small, then big"


def test_no_rules_change_nothing():
    student = SPIQA()
    assert instruct(student, {"answer": RuleSet()}).dump_state() == student.dump_state()
    assert instruct(student, {}).dump_state() == student.dump_state()


def test_rules_reach_every_predictor_of_a_nested_program():
    class Outer(dspy.Module):
        def __init__(self):
            super().__init__()
            self.inner = ScienceQA(reasoning=True)
            self.check = dspy.Predict("answer -> verdict")

    program = instruct(Outer(), {"inner.answer.predict": RULES})
    assert "if big" in program.inner.answer.predict.signature.instructions
    assert "if big" not in program.check.signature.instructions
