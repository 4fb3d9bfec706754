"""The teacher: three questions that a large model is asked. Their wording is what the method's quality rests on."""

import dspy

from pld_dspy.rules import Edit


class ExtractRule(dspy.Signature):
    """You teach a small model that answers at once, without thinking step by step. You get one solved example of its task.

    First explain, in a few sentences, why the given answer is right: which detail of the question or of the figure
    decides it, and what one has to know. Then write ONE general rule with which the small model would answer other
    questions of the same kind.

    The rule
    - begins with how to recognise the kind of question ("If the question asks ...", "If the figure shows ...");
    - names the one thing to check: the words to look for in the text, or what to look at in the figure (which label,
      axis, colour, arrow, size, position, count);
    - says what follows from it ("then choose the option that ..."), and what follows otherwise, where there are two cases;
    - carries the knowledge it needs, so that it can be checked without this example;
    - holds one idea in one sentence, or two short ones, of at most 45 words;
    - is general: no names, numbers, objects or quotations from this example, only the kinds of thing that they are;
    - never mentions the letter or the position of an option, and never gives this example's answer away."""

    task: str = dspy.InputField(desc="what the small model is told to do")
    example: str = dspy.InputField(desc="the example's inputs")
    figures: list[dspy.Image] = dspy.InputField(desc="the figures that the example refers to; may be empty")
    answer: str = dspy.InputField(desc="the right answer")
    rationale: str = dspy.InputField(desc="an explanation that came with the data; may be empty")
    reasoning: str = dspy.OutputField(desc="why the answer follows, in two or three sentences")
    rule: str = dspy.OutputField(desc="one general rule: if ..., then ...")


class SynthesiseRule(dspy.Signature):
    """Several rules were written down from different examples of the same kind of question. Write the ONE rule that
    replaces them all for a small model that answers at once, without thinking step by step.

    Keep what they agree on, and each condition that only some of them name if it does not contradict the others. Where
    they contradict each other, keep what most of them say. Keep every concrete check: the words to look for, what to
    look at in the figure, the cases and what follows from each. Do not add anything that none of them says. Begin with
    how to recognise the kind of question. One or two sentences, at most 60 words; no names, numbers or quotations from
    single examples, no letters of options."""

    task: str = dspy.InputField(desc="what the small model is told to do")
    rules: list[str] = dspy.InputField(desc="the rules to unite")
    rule: str = dspy.OutputField(desc="the one rule that replaces them")


class ResolveConflicts(dspy.Signature):
    """A small model follows a list of rules and answers at once. You see the rules with their ids, questions that it got
    wrong with the right answer, and questions that it got right.

    For each wrong answer find the cause: a rule is wrong, a rule is unclear or too broad, two rules contradict each
    other, or no rule covers this kind of question. Then propose edits of the rules:
    - revise: one id, and a new text that mends the rule;
    - merge: two or more ids, and one text that replaces these rules;
    - delete: the ids of rules that mislead;
    - add: no ids, and the text of a rule for a kind of question that no rule covers.

    Change as little as possible: the rules behind the right answers must go on working. A text is a general rule: how to
    recognise the kind of question, the one thing to check in the text or the figure, what follows. At most 60 words; no
    names, numbers or quotations from these questions, no letters of options. Give a reason for every edit. If no change
    of the rules would help, return an empty list."""

    task: str = dspy.InputField(desc="what the small model is told to do")
    rules: str = dspy.InputField(desc="the rules it follows, each with its id")
    failures: str = dspy.InputField(desc="questions that it got wrong")
    successes: str = dspy.InputField(desc="questions that it got right")
    figures: list[dspy.Image] = dspy.InputField(desc="the figures that the questions refer to; may be empty")
    reasoning: str = dspy.OutputField(desc="the cause of each wrong answer, in a sentence each")
    edits: list[Edit] = dspy.OutputField(desc="the changes to the rules")


class Teacher(dspy.Module):
    """The teacher of prompt-level distillation: a predictor for each of its three questions.

    Pass a subclass, or an instance with other signatures or demonstrations, as `compile(..., teacher=...)` to teach in
    other words; the field names are what the phases rely on. Source: Badhe & Shah, arXiv:2602.21103.
    """

    def __init__(self) -> None:
        super().__init__()
        self.extract = dspy.Predict(ExtractRule)
        self.synthesise = dspy.Predict(SynthesiseRule)
        self.resolve = dspy.Predict(ResolveConflicts)
