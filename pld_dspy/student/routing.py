"""Routing: for a student with a short attention, only the rules nearest to the question are in the prompt."""

import asyncio
import threading
from collections.abc import Iterable, Mapping, Sequence
from inspect import cleandoc
from typing import Any

import dspy
import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pld_dspy.errors import PLDError
from pld_dspy.examples import present
from pld_dspy.models.embedders import AnyEmbedder, Tfidf, described_embedder, embed, embedder, saved_name
from pld_dspy.rules import RuleSet, RuleText

MOST_ROUTED = 1_000  # rules in a prompt


class Routing(BaseModel):
    """How a predictor chooses among its rules: plain data, as a program's saved state holds it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    k: int = Field(ge=1, le=MOST_ROUTED, strict=True)  # rules in a prompt at most
    embedder: str  # a name that `embedder` takes, or what `RoutedPredict` calls the embedder that it was given
    task: str  # the predictor's own instructions
    rules: tuple[RuleText, ...]  # in the order of the prompt

    def instructions(self, rules: Iterable[str] | None = None) -> str:
        """The task and some rules, by default all, as a signature gives its instructions back."""
        rendered = RuleSet.of((text, ()) for text in (self.rules if rules is None else rules)).render()
        return cleandoc(f"{self.task}\n\n{rendered}" if rendered else self.task)


class RoutedPredict(dspy.Predict):
    """A predictor that reads, at each call, only those of its rules that are nearest to the call's inputs.

    The instructions of `signature` hold all rules, for people and for a plain `dspy.Predict` that loads the state.
    Where they are changed afterwards, as by another optimizer, or a call brings its own, they are read as they are.

    Args:
        signature, config: as for `dspy.Predict`; the routing's task and rules replace the instructions.
        routing: which rules, and how many of them; None once a state without routing was loaded.
        embedder: makes the vectors instead of the one that the routing names; `routing.embedder` is then its name.
    """

    signature: Any
    _index: "_Index | None"

    def __init__(self, signature: Any, routing: Routing, embedder: AnyEmbedder | None = None, **config: Any) -> None:
        super().__init__(signature, **config)
        self._follow(routing, embedder)

    def forward(self, **kwargs: Any) -> dspy.Prediction:
        return super().forward(**self._routed(kwargs))

    async def aforward(self, **kwargs: Any) -> dspy.Prediction:
        return await super().aforward(**await asyncio.to_thread(self._routed, kwargs))  # an embedder may be a server

    def dump_state(self, json_mode: bool = True) -> dict[str, Any]:
        """The state of a `dspy.Predict`, with the routing; PLDError if no name says how to make the embedder again."""
        state = super().dump_state(json_mode)
        if self.routing and self._index and self.signature.instructions == self.routing.instructions():
            if saved_name(self._index.embedder) is None:
                raise PLDError(f"This routing cannot be saved: no name makes the embedder {self.routing.embedder}.")
            state["routing"] = self.routing.model_dump(mode="json")
        return state

    def load_state(self, state: dict[str, Any], *, allow_unsafe_lm_state: bool = False) -> "RoutedPredict":
        """Load a routed or a plain predictor's state, and be the same; PLDError if its routing cannot be followed."""
        routing, index = _read(state), None
        if routing:
            if cleandoc(state["signature"]["instructions"]) != routing.instructions():
                raise PLDError("A saved routing differs from its predictor's instructions: change both or remove it.")
            index = _Index(_made(routing, self._index.embedder if self._index else None), routing.rules)
        super().load_state({**state, "routing": routing}, allow_unsafe_lm_state=allow_unsafe_lm_state)
        self._index = index
        return self

    def _follow(self, routing: Routing, given: AnyEmbedder | None) -> None:
        if given is not None:
            routing = routing.model_copy(update={"embedder": saved_name(given) or described_embedder(given)})
        self.routing: Routing | None = routing
        self._index = _Index(given or _made(routing), routing.rules)
        self.signature = self.signature.with_instructions(routing.instructions())

    def _routed(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        routing = self.routing
        index = self._index if routing and routing.k < len(routing.rules) and "signature" not in kwargs else None
        if not routing or not index or self.signature.instructions != routing.instructions():
            return kwargs
        inputs = {name: kwargs[name] for name in self.signature.input_fields if name in kwargs}
        chosen = index.nearest(present(inputs).text, routing.k)
        return {**kwargs, "signature": self.signature.with_instructions(routing.instructions(chosen))}


def route(program: dspy.Module, routings: Mapping[str, Routing], embedder: AnyEmbedder | None = None) -> dspy.Module:
    """A deep copy of a program whose predictors are routed by their names (a bare `dspy.Predict` is "self").

    `embedder` stands for all that the routings name. Raises PLDError if there is no predictor of a name, it is of a
    class of its own, or an embedder cannot be made.
    """
    routed = program.deepcopy()
    for name, routing in routings.items():
        predictor: Any = dict(routed.named_predictors()).get(name)
        if type(predictor) not in (dspy.Predict, RoutedPredict):
            raise PLDError(f"The program has no plain dspy.Predict {name!r} that could be routed.")
        predictor.__class__ = RoutedPredict  # in place: it may sit in several places, and in a tuple
        predictor._follow(routing, embedder)
    return routed


def routed_by_state(program: dspy.Module, state: Mapping[str, Any], embedder: AnyEmbedder | None = None) -> dspy.Module:
    """A deep copy of a program that is routed where a saved state is, so that its `load_state(state)` restores all.

    `embedder` is taken where a routing names it; one behind an address must be given, as no address is saved. Raises
    PLDError if a routing is malformed, or its embedder cannot be made.
    """
    states = {"self": state} if isinstance(program, dspy.Predict) else state
    routed = program.deepcopy()
    for name in dict(program.named_predictors()):
        if routing := _read(states.get(name)):
            routed = route(routed, {name: routing}, _made(routing, embedder))
    return routed


def check_routing(
    rules_per_question: int, student: dspy.Module, learners: Sequence[str], embedder: AnyEmbedder
) -> None:
    """Raise PLDError for a number of rules, an embedder or predictors that a compile could not route with or save."""
    if type(rules_per_question) is not int or not 1 <= rules_per_question <= MOST_ROUTED:
        raise PLDError(f"rules_per_question is a whole number from 1 to {MOST_ROUTED}, not {rules_per_question!r}.")
    if saved_name(embedder) is None:
        name = described_embedder(embedder)
        raise PLDError(f"A program routed by {name} could not be saved: name an embedder as the command line does.")
    nothing = Routing(k=rules_per_question, embedder="", task="", rules=())
    route(student, dict.fromkeys(learners, nothing), embedder)  # refuses predictors that cannot be routed


class _Index:
    """Rules by their nearness to a question, for many threads. Copies of a predictor share one."""

    def __init__(self, given: AnyEmbedder | str, rules: tuple[str, ...]) -> None:
        self.embedder, self._rules = embedder(given) if isinstance(given, str) else given, rules
        self._vectors: np.ndarray | None = None
        self._lock = threading.Lock()

    def nearest(self, question: str, k: int) -> list[str]:
        """The k rules nearest to a question, in their own order; of equally near ones the first."""
        if isinstance(self.embedder, Tfidf):  # its vectors depend on the other texts
            *rules, asked = embed([*self._rules, question], self.embedder)
        else:
            with self._lock:
                if self._vectors is None:
                    self._vectors = embed(list(self._rules), self.embedder)
            rules, asked = [*self._vectors], embed([question], self.embedder)[0]
        if rules[0].shape != asked.shape:
            raise PLDError(f"Routing cannot use {described_embedder(self.embedder)}: a text's vector varies in length.")
        similarities = np.round(np.stack(rules) @ asked, 5)  # so that equal rules are ties, however they are summed
        return [self._rules[place] for place in sorted(np.argsort(-similarities, kind="stable")[:k])]

    def __deepcopy__(self, memo: dict[int, Any]) -> "_Index":
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        name = saved_name(self.embedder)
        if isinstance(self.embedder, dspy.Embedder) and (name is None or self.embedder.default_kwargs):
            raise PLDError(f"{described_embedder(self.embedder)} has an address or settings that no file should hold.")
        return _Index, (name or self.embedder, self._rules)


def _made(routing: Routing, given: AnyEmbedder | None = None) -> AnyEmbedder:
    """The given embedder if it is the routing's, else one made by name."""
    if given is not None and saved_name(given) == routing.embedder:
        return given
    return embedder(routing.embedder)


def _read(state: Any) -> Routing | None:
    """The routing of a predictor's saved state, None if it has none."""
    if not isinstance(state, Mapping) or "routing" not in state:
        return None
    try:
        return Routing.model_validate(state["routing"])
    except ValidationError as error:
        first = error.errors()[0]
        raise PLDError(f"A saved routing is malformed at {list(first['loc'])}: {first['msg']}.") from error
