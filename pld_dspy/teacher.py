"""The teacher: the questions that a large model is asked. Their wording is what the method's quality rests on."""

from collections.abc import Sequence

import dspy

from pld_dspy.rules import OPERATIONS, Edit, Operation


class ExtractRule(dspy.Signature):
    """You are a teacher. You get one solved example of a small model's task. Write down the general knowledge behind
    the right answer as ONE rule, with which the small model answers other questions of the same kind at once, without
    thinking step by step.

    First say why the answer is right: which detail of the question or of the figure decides it, and what one has to
    know. Then name the kind of question. Then write the rule:
    - It begins with how to recognise the kind of question ("If the question asks ...", "If the figure shows ...").
    - It names the one thing to check: which words in the text, or what to look at in the figure (which label, axis,
      colour, arrow, size, position, count).
    - It says what follows in each case, with the definitions that are needed to decide. If the example turns on one
      term of several, say how to tell that term from the others.
    - It stays true for other examples: no name, person, place, object, number or quotation of this one.
    - It holds one idea in one or two sentences, at most 50 words.
    - It never mentions the letter or the position of an option."""

    task: str = dspy.InputField(desc="what the small model is told to do")
    example: str = dspy.InputField(desc="the example's inputs")
    figures: list[dspy.Image] = dspy.InputField(desc="the figures that the example refers to; may be empty")
    rationale: str = dspy.InputField(desc="an explanation that came with the data; may be empty")
    answer: str = dspy.InputField(desc="the right answer")
    refused: str = dspy.InputField(desc="a rule that you wrote before and why it cannot be used; empty at first")
    reasoning: str = dspy.OutputField(desc="why the answer is right, in two or three sentences")
    question_kind: str = dspy.OutputField(desc="the kind of question, in a few general words")
    rule: str = dspy.OutputField(desc="one general rule: if ..., check ...: this means ..., that means ...")


class RewriteRationale(dspy.Signature):
    """You are a teacher. You get an explanation that came with questions of a small model's task: a lecture on what one
    has to know, or the solution of one question. You do not see the questions and their figures. Rewrite the
    explanation as ONE rule, a short check with which the small model answers questions of this kind at once, without
    thinking step by step.

    First say which part of the explanation decides the answer. If a right answer is given, it is the part about this
    answer, and what tells it from the other terms that the explanation names. Then write the rule:
    - It begins with how to recognise the kind of question ("If the question asks ...", "If the figure shows ...").
    - It names the one thing to check: which words in the text, or what to look at in the figure (which label, axis,
      colour, arrow, size, position, count).
    - It says what follows in each case, with the definitions that are needed to decide.
    - It says nothing that the explanation does not say, and leaves out what does not help to decide.
    - It stays true for other questions: no name, person, place, object, number or quotation of a single example, nor
      what happens to be the answer of one.
    - It holds one idea in one or two sentences, at most 50 words.
    - It never mentions the letter or the position of an option."""

    task: str = dspy.InputField(desc="what the small model is told to do")
    kind: str = dspy.InputField(desc="the kind of question, as the data name it; may be empty")
    rationale: str = dspy.InputField(desc="the explanation that came with the data")
    answer: str = dspy.InputField(desc="a right answer that the explanation is about; may be empty")
    refused: str = dspy.InputField(desc="a rule that you wrote before and why it cannot be used; empty at first")
    reasoning: str = dspy.OutputField(desc="which part of the explanation decides the answer, in one or two sentences")
    rule: str = dspy.OutputField(desc="one general rule: if ..., check ...: this means ..., that means ...")


class SynthesiseRule(dspy.Signature):
    """Several rules were written down from different examples of the same kind of question. Write the ONE rule that
    replaces them all for a small model that answers at once, without thinking step by step.

    Keep what they agree on, and the cases that only some of them name if they do not contradict the others. Where they
    contradict each other, keep what most of them say, or what is true. Keep every concrete check: the words to look
    for, what to look at in the figure, and what follows in each case. Begin with how to recognise the kind of question.
    One or two sentences, at most 60 words; no names, numbers or quotations from single examples, no letters of
    options."""

    task: str = dspy.InputField(desc="what the small model is told to do")
    rules: list[str] = dspy.InputField(desc="the rules to unite")
    rule: str = dspy.OutputField(desc="the one rule that replaces them")


class ResolveConflicts(dspy.Signature):
    """A small model follows a list of rules and answers at once. You see the rules with their ids, questions that it
    got wrong with the right answer, and questions that it got right.

    For each wrong answer find the cause: a rule is wrong, a rule is unclear or too broad, two rules contradict each
    other, a rule stands behind one that fits less well, or no rule covers this kind of question. Then propose edits of
    the rules:
    {operations}

    Each edit is tried by itself. Change as little as possible: the rules behind the right answers must go on working. A
    text is a general rule: how to recognise the kind of question, the one thing to check in the text or the figure, and
    what follows in each case. At most 60 words; no names, numbers or quotations from these questions, no letters of
    options. Give a reason for every edit. Do not propose again what was tried and did not help. If no change of the
    rules would help, return an empty list."""

    task: str = dspy.InputField(desc="what the small model is told to do")
    rules: str = dspy.InputField(desc="the rules it follows, each with its id")
    rejected: str = dspy.InputField(desc="edits that were tried before and did not help; may be empty")
    failures: str = dspy.InputField(desc="questions that it got wrong")
    successes: str = dspy.InputField(desc="questions that it got right")
    figures: list[dspy.Image] = dspy.InputField(desc="the figures that the questions refer to; may be empty")
    reasoning: str = dspy.OutputField(desc="the cause of each wrong answer, in a sentence each")
    edits: list[Edit] = dspy.OutputField(desc="the changes to the rules")


class FindContradictions(dspy.Signature):
    """A small model follows a list of rules and answers at once. You see pairs of rules that are about similar things.

    Look for pairs that contradict each other: for the same question one rule leads to another answer than the other. Of
    such a pair find out which rule is true, and propose an edit: merge both into one true rule, or revise or delete the
    false one. Leave pairs alone that agree, or that are about different kinds of questions. Give a reason for every
    edit. Do not propose again what was tried and did not help. If no pair is in conflict, return an empty list."""

    task: str = dspy.InputField(desc="what the small model is told to do")
    pairs: str = dspy.InputField(desc="pairs of rules, each rule with its id")
    rejected: str = dspy.InputField(desc="edits that were tried before and did not help; may be empty")
    reasoning: str = dspy.OutputField(desc="which pairs are in conflict, and which rule is true")
    edits: list[Edit] = dspy.OutputField(desc="the changes to the rules")


class CompressRules(dspy.Signature):
    """A small model reads a list of rules with every question, so that each word costs. Make the list shorter without
    changing what it says: merge rules that are about the same kind of question, and revise rules that need fewer words.
    Keep every condition, every concrete check and what follows from it. Give a reason for every edit. Do not propose
    again what was tried and did not help. If nothing can be shortened without a loss, return an empty list."""

    task: str = dspy.InputField(desc="what the small model is told to do")
    rules: str = dspy.InputField(desc="the rules it follows, each with its id")
    rejected: str = dspy.InputField(desc="edits that were tried before and did not help; may be empty")
    reasoning: str = dspy.OutputField(desc="which rules say too much, in a sentence")
    edits: list[Edit] = dspy.OutputField(desc="the changes to the rules")


class Teacher(dspy.Module):
    """The teacher of prompt-level distillation: a predictor for each of its questions.

    Each predictor starts with demonstrations about road traffic, which is in neither benchmark: small teachers copy the
    form of a good rule more readily than they follow its description. Pass a subclass, or an instance with other
    signatures or demonstrations, as `compile(..., teacher=...)` to teach in other words; the field names are what the
    phases rely on. Source: Badhe & Shah, arXiv:2602.21103, for `extract`, `synthesise` and `resolve`.

    Args:
        operations: kinds of edits that it may propose besides the built-in ones; teachers that are made later in this
            process may propose them too.
    """

    def __init__(self, operations: Sequence[Operation] = ()) -> None:
        super().__init__()
        OPERATIONS.update({operation.name: operation for operation in operations})
        listed = ";\n".join(f"- {operation.name}: {operation.usage}" for operation in OPERATIONS.values())
        resolve = ResolveConflicts.with_instructions(ResolveConflicts.instructions.format(operations=f"{listed}."))
        self.extract = dspy.Predict(ExtractRule)
        self.rewrite = dspy.Predict(RewriteRationale)
        self.synthesise = dspy.Predict(SynthesiseRule)
        self.resolve = dspy.Predict(resolve)
        self.contradictions = dspy.Predict(FindContradictions)
        self.compress = dspy.Predict(CompressRules)
        self.extract.demos = list(EXTRACTED)
        self.rewrite.demos = [REWRITTEN]
        self.synthesise.demos = [SYNTHESISED]
        self.resolve.demos = [RESOLVED]
        self.contradictions.demos = [CONTRADICTING]
        self.compress.demos = [COMPRESSED]


_TASK = "Answer the question about road traffic."
_SHAPES = (
    "If the question asks for the sign with a given meaning, go by its shape: an octagon means stop, a triangle that "
    "points down means give way, a circle means an order."
)
_LAMPS = (
    "If the figure shows a traffic light and the question asks whether to go, look which lamp is lit: the lowest, "
    "green one means go, the highest, red one means stop."
)
EXTRACTED = (
    dspy.Example(
        task=_TASK,
        example="question: Which sign tells Ahmed to let the other cars go first?\nchoices:\na red octagon\n"
        "a triangle that points down\na blue circle",
        figures=[],
        rationale="Signs differ in shape. An octagon means that you must stop. A triangle that points down means that "
        "you must give way. A circle orders something.",
        answer="a triangle that points down",
        refused="If the question asks which sign Ahmed needs, then it is a triangle that points down.\n"
        "Cannot be used: the rule names Ahmed from its example.",
        reasoning="To let others go first is to give way. The shape of a sign tells its meaning, and the sign for "
        "giving way is a triangle that points down.",
        question_kind="which sign has a given meaning",
        rule=_SHAPES,
    ),
    dspy.Example(
        task=_TASK,
        example="question: May the blue car drive on?\ncontext: The picture shows: a traffic light with its lowest "
        "lamp lit, above a blue car.\nchoices:\nyes\nno",
        figures=[],
        rationale="",
        answer="yes",
        refused="",
        reasoning="Whether a car may go depends on which lamp of the light is lit. The lowest lamp is the green one, "
        "and green means go.",
        question_kind="whether to go at a traffic light",
        rule=_LAMPS,
    ),
)
REWRITTEN = dspy.Example(
    task=_TASK,
    kind="signs and their meaning",
    rationale="Traffic signs were first put up for carriages. Today most countries use the same signs, so that drivers "
    "know them abroad. Signs differ in shape. An octagon means that you must stop. For example, Ahmed meets one at the "
    "railway crossing in Elm Street. A triangle that points down means that you must give way. A circle orders "
    "something.",
    answer="a triangle that points down",
    refused="If Ahmed meets a sign at a railway crossing, it is an octagon.\nCannot be used: the rule names Ahmed from "
    "its example.",
    reasoning="The shape of a sign decides what it means. A triangle that points down means to give way; an octagon "
    "and a circle mean something else.",
    rule="If the question asks for the sign with a given meaning, go by its shape: a triangle that points down means "
    "give way, an octagon means stop, a circle means an order.",
)
SYNTHESISED = dspy.Example(
    task=_TASK,
    rules=[
        "If the question asks what a sign means, look at its shape: an octagon means stop.",
        "If the question asks for the sign with a given meaning, a triangle that points down means give way and a "
        "circle means an order.",
    ],
    rule=_SHAPES,
)
RESOLVED = dspy.Example(
    task=_TASK,
    rules="R1: If the figure shows a traffic light, look which lamp is lit: the highest means go.\n"
    "R2: If the question asks how long a way takes, divide the distance by the speed.",
    rejected="delete R2 (2 answers became wrong, none right)",
    failures="Question 1\nquestion: May the red car drive on?\ncontext: The picture shows: a traffic light with its "
    "highest lamp lit.\nthe model's answer: yes\nthe right answer: no\n\nQuestion 2\nquestion: Which sign means that "
    "one must stop?\nthe model's answer: a blue circle\nthe right answer: a red octagon",
    successes="Question 1\nquestion: How many hours does a car at 50 km per hour need for 100 km?\nthe model's answer: "
    "2\nthe right answer: 2",
    figures=[],
    reasoning="Question 1: R1 has the lamps the wrong way round. Question 2: no rule says what signs mean.",
    edits=[
        Edit(operation="revise", ids=("R1",), text=_LAMPS, reason="R1 had the lamps the wrong way round."),
        Edit(operation="add", text=_SHAPES, reason="No rule covered the meaning of signs."),
    ],
)
CONTRADICTING = dspy.Example(
    task=_TASK,
    pairs="Pair 1\nR3: If the figure shows a traffic light, look which lamp is lit: the highest means go.\n"
    f"R1: {_LAMPS}\n\nPair 2\nR2: If the question asks how long a way takes, divide the distance by the speed.\n"
    "R4: If the question asks how far a car goes, multiply its speed by the time.",
    rejected="",
    reasoning="Pair 1: for the same light R3 says go where R1 says stop; R1 is true. Pair 2: both are true.",
    edits=[Edit(operation="delete", ids=("R3",), reason="R3 has the lamps the wrong way round.")],
)
COMPRESSED = dspy.Example(
    task=_TASK,
    rules="R1: If the question asks what a sign means, look at its shape: an octagon always means that one has to "
    "stop.\nR2: If the question asks for the sign with a given meaning, a triangle that points down means give way and "
    "a circle means an order.\nR3: If the question asks how long a way takes, divide the distance by the speed.",
    rejected="",
    reasoning="R1 and R2 are both about the shapes of signs.",
    edits=[Edit(operation="merge", ids=("R1", "R2"), text=_SHAPES, reason="Both are about the shapes of signs.")],
)
