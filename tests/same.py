"""Values, metrics and programs that are made alike in several processes, and their fingerprints."""

import pickle
import sys
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any, Literal

import dspy
import numpy as np
import pandas as pd
from pydantic import BaseModel

from pld_dspy.identity import fingerprint, metric_fingerprint, program_fingerprint


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Model(BaseModel):
    x: Any
    more: Any = None


@dataclass
class Point:
    x: Any
    y: Any = 0


class Thing:
    def __init__(self, **attributes):
        self.__dict__.update(attributes)

    def __call__(self, example, prediction, trace=None):
        return self.score(prediction)

    def score(self, prediction):
        return len(prediction.answer) > self.least


def closure(least):
    return lambda example, prediction: len(prediction.answer) > least


def default(least):
    def metric(example, prediction, trace=None, *, least=least):
        return len(prediction.answer) > least

    return metric


METRICS = {
    "closure": closure,
    "default": default,
    "partial": lambda least: partial(lambda example, prediction, least: len(prediction.answer) > least, least=least),
    "object": lambda least: Thing(least=least),
    "method": lambda least: Thing(least=least).score,
    "nested": lambda least: partial(closure({"at": [least]}), trace=None),
    "judge": lambda least: Thing(judge=dspy.Predict("answer -> score", temperature=least)),
}


def lasted(**attributes):
    program = dspy.ChainOfThought("question -> answer")
    for name, value in attributes.items():
        setattr(program.predict, name, value)
    return program


PROGRAMS = {
    "instructions": lambda to: dspy.Predict(dspy.Signature("question -> answer", f"Answer {to!r}.")),
    "type": lambda to: dspy.Predict(
        dspy.Signature({"q": (str, dspy.InputField()), "a": (to_type(to), dspy.OutputField())})
    ),
    "temperature": lambda to: dspy.Predict("question -> answer", temperature=to),
    "model": lambda to: lasted(lm=dspy.LM(f"openai/{to!r}", api_key=str(id(object())))),
    "settings": lambda to: lasted(lm=dspy.LM("openai/small", top_p=to)),
    "demos": lambda to: lasted(demos=[dspy.Example(question="q", answer=to)]),
    "n": lambda to: dspy.BestOfN(dspy.Predict("question -> answer"), N=to, reward_fn=closure(1), threshold=1.0),
    "reward": lambda to: dspy.BestOfN(dspy.Predict("question -> answer"), N=2, reward_fn=closure(to), threshold=1.0),
    "max_iters": lambda to: dspy.ReAct("question -> answer", tools=[], max_iters=to),
    "tool": lambda to: dspy.ReAct("question -> answer", tools=[dspy.Tool(closure(to), name="look", desc="", args={})]),
}


def to_type(to):
    return [str, int, list[str], Colour, Model, Model | None, Literal[0]][to] if to < 7 else Literal[tuple(range(to))]


def made(kind: str, to: Any) -> str:
    """The fingerprint of a value, or of a metric or a program that is made of one."""
    if kind in METRICS:
        return metric_fingerprint(METRICS[kind](to))
    if kind in PROGRAMS:
        return program_fingerprint(PROGRAMS[kind](to))
    return fingerprint(to)


def table(cells):
    return pd.DataFrame({f"c{place}": [cell] for place, cell in enumerate(cells)})


def array(cells):
    return np.array(cells, dtype=float)


if __name__ == "__main__":
    import same

    while True:
        print(same.made(*pickle.load(sys.stdin.buffer)), flush=True)
