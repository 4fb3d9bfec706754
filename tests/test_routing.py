import asyncio
import copy
import json
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import cloudpickle
import dspy
import numpy as np
import pytest
from pydantic import ValidationError
from scripted import ScriptedEngine, scripted

from pld_dspy.errors import PLDError
from pld_dspy.models.embedders import embedder as by_name
from pld_dspy.models.embedders import saved_name, tfidf
from pld_dspy.models.sentence_embedder import SentenceEmbedder
from pld_dspy.rules import RuleSet
from pld_dspy.student import routing as module
from pld_dspy.student.routing import RoutedPredict, Routing, route, routed_by_state

TASK = "Answer the question."
RULES = (
    "If a magnet attracts iron, then name the poles.",
    "If a plant needs sunlight, then name photosynthesis.",
    "If a river carries sand, then name erosion.",
    "If a magnet repels another magnet, then compare the poles.",
)
MAGNETS = "Which poles of a magnet attract iron?"
PLANTS = "Why does a plant in a cellar lack sunlight?"
RIVERS = "Where does a river leave its sand?"


def routing(k=1, embedder="tfidf", rules=RULES):
    return Routing(k=k, embedder=embedder, task=TASK, rules=rules)


def whole(rules, task=TASK):
    """The instructions as a compile without routing writes them."""
    return f"{task}\n\n{RuleSet.of((rule, ()) for rule in rules).render()}"


def letters(texts):
    """How often a text has each letter: a vector that depends on nothing else."""
    return np.array([[text.lower().count(chr(97 + place)) for place in range(26)] for text in texts])


class Counting:
    """`letters`, remembering what it was asked."""

    def __init__(self):
        self.asked = []

    def __call__(self, texts):
        self.asked.append(tuple(texts))
        time.sleep(0.01)  # so that another thread gets in between
        return letters(texts)


class Nested(dspy.Module):
    def __init__(self):
        super().__init__()
        self.think = dspy.ChainOfThought("question -> answer")
        self.several = [dspy.Predict("question -> verdict"), dspy.Predict("question -> score")]
        self.by_name = {"last": dspy.Predict("question -> summary")}
        self.pair = (dspy.Predict("question -> title"),)
        self.again = self.several[1]

    def forward(self, question):
        for predictor in (*self.several, self.by_name["last"], *self.pair, self.again):
            predictor(question=question)
        return self.think(question=question)


@pytest.fixture
def lm():
    model = scripted(lambda prompt: {})
    with dspy.context(lm=model):
        yield model


def rules_of(prompt):
    return [line for line in prompt.instructions if line.startswith("If ")]


def asked(lm, program, question, **more):
    """The rules that were in the prompt of one question to one predictor."""
    program(question=question, **more)
    return rules_of(lm.engine.prompts[-1])


def predictor(k=1, embedder=None, **more):
    return RoutedPredict("question -> answer", routing(k, **more), embedder)


@pytest.mark.parametrize("embedder", [None, letters])
@pytest.mark.parametrize(("question", "nearest"), [(MAGNETS, 0), (PLANTS, 1), (RIVERS, 2)])
def test_only_the_nearest_rule_is_in_the_prompt(lm, embedder, question, nearest):
    assert asked(lm, predictor(1, embedder), question) == [RULES[nearest]]


def test_the_nearest_rules_are_read_in_the_order_of_the_prompt_and_as_a_rule_set_writes_them(lm):
    # The fourth rule is nearest, the first is next.
    routed = predictor(2)
    assert asked(lm, predictor(1), "Does a magnet repel another magnet?") == [RULES[3]]
    assert asked(lm, routed, "Does a magnet repel another magnet?") == [RULES[0], RULES[3]]
    plain = dspy.Predict(dspy.Signature("question -> answer", whole((RULES[0], RULES[3]))))
    plain(question="Does a magnet repel another magnet?")
    assert lm.engine.prompts[-1].system == lm.engine.prompts[-2].system
    assert routed.signature.instructions == whole(RULES)


@pytest.mark.parametrize("k", [4, 5])
def test_a_student_that_reads_all_rules_needs_no_embedder(lm, k):
    counting = Counting()
    assert asked(lm, predictor(k, counting), MAGNETS) == list(RULES)
    assert counting.asked == []


def test_without_rules_the_task_stands_alone(lm):
    routed = predictor(rules=())
    assert asked(lm, routed, MAGNETS) == []
    assert routed.signature.instructions == TASK
    assert lm.engine.prompts[0].instructions == [TASK]


def test_the_first_of_equally_near_rules_are_read(lm):
    anagrams = ("If abc, then abc.", "If cab, then bca.", "If acb, then cab.")
    assert asked(lm, predictor(2, letters, rules=anagrams), "abc") == list(anagrams[:2])


def test_equal_vectors_are_equally_near_however_a_product_is_summed():
    vector = np.random.default_rng(0).normal(size=384)
    for n in range(3, 40):
        rules = tuple(f"If {place}, then wait." for place in range(n))
        routed = predictor(2, lambda texts: np.stack([vector] * len(texts)), rules=rules)
        assert routed._routed({"question": "When?"})["signature"].instructions == whole(rules[:2])


def test_a_nearness_is_of_direction_not_of_length(lm):
    assert asked(lm, predictor(1, letters, rules=("If zz, then zz." * 9, "If ab, then ab.")), "aabb, then if") == [
        "If ab, then ab."
    ]


def test_all_text_of_a_call_counts_and_figures_do_not(lm):
    counting = Counting()
    signature = dspy.Signature("question, image: dspy.Image, choices: list[str] -> answer")
    image = dspy.Image("data:image/png;base64,iVBORw0KGgo=")
    routed = RoutedPredict(signature, routing(), counting)
    routed._routed({"choices": ["iron", "gold"], "question": MAGNETS, "image": image, "config": {"n": 1}})
    assert counting.asked[1] == (f"question: {MAGNETS}\nimage: [figure 1]\nchoices:\niron\ngold",)


def test_the_rules_are_embedded_once(lm):
    counting = Counting()
    routed = predictor(1, counting)
    for copied in (routed, routed, routed.deepcopy(), routed.reset_copy()):
        copied(question=MAGNETS)
    assert counting.asked == [RULES, *[(f"question: {MAGNETS}",)] * 4]


def test_tfidf_weighs_the_words_of_the_question_with_those_of_the_rules(monkeypatch, lm):
    seen = []
    monkeypatch.setattr(module, "embed", lambda texts, embedder: seen.append(texts) or tfidf(texts))
    asked(lm, predictor(), MAGNETS)
    assert seen == [[*RULES, f"question: {MAGNETS}"]]


def test_a_function_that_needs_many_texts_to_embed_one_is_an_error():
    with pytest.raises(PLDError, match=r"^Routing cannot use corpus: "):
        predictor(1, corpus)._routed({"question": MAGNETS})


def corpus(texts):
    return np.eye(len(texts))


@pytest.mark.parametrize("embedder", [None, letters])
def test_threads_get_their_own_rules(lm, embedder):
    routed = predictor(1, embedder)
    questions = [MAGNETS, PLANTS, RIVERS] * 8
    dspy.Parallel(num_threads=6, disable_progress_bar=True)(
        [(routed, {"question": question}) for question in questions]
    )
    read = [(prompt.fields["question"], rules_of(prompt)) for prompt in lm.engine.prompts]
    right = {MAGNETS: [RULES[0]], PLANTS: [RULES[1]], RIVERS: [RULES[2]]}
    assert len(read) == len(questions)
    assert all(rules == right[question] for question, rules in read)


def test_threads_that_begin_together_embed_the_rules_once():
    counting, together = Counting(), Barrier(4)
    routed = predictor(1, counting)

    def ask(_):
        together.wait()
        return routed._routed({"question": MAGNETS})["signature"].instructions

    with ThreadPoolExecutor(4) as threads:
        assert set(threads.map(ask, range(4))) == {whole(RULES[:1])}
    assert counting.asked.count(RULES) == 1


class Asynchronous(ScriptedEngine):
    async def complete(self, request):
        return super().complete(request)


def test_asynchronous_calls_get_their_own_rules():
    routed, engine = predictor(1, letters), Asynchronous(lambda prompt: {})

    async def ask():
        with dspy.context(lm=dspy.LM("scripted", engine=ScriptedEngine(None), async_engine=engine, cache=False)):
            await asyncio.gather(*(routed.acall(question=question) for question in (MAGNETS, PLANTS, RIVERS)))

    asyncio.run(ask())
    read = {prompt.fields["question"]: rules_of(prompt) for prompt in engine.prompts}
    assert read == {MAGNETS: [RULES[0]], PLANTS: [RULES[1]], RIVERS: [RULES[2]]}


def test_routing_replaces_predictors_wherever_they_are_and_leaves_the_program_as_it_is(lm):
    program = Nested()
    names = ["think.predict", "several[1]", "by_name['last']", "pair[0]"]
    before = program.dump_state()
    routed = route(program, dict.fromkeys(names, routing()), letters)
    assert program.dump_state() == before
    assert {type(one) for one in program.predictors()} == {dspy.Predict}
    assert [name for name, _ in routed.named_predictors()] == [name for name, _ in program.named_predictors()]
    assert routed.again is routed.several[1]
    routed(question=PLANTS)
    read = [(prompt.outputs[0], rules_of(prompt)) for prompt in lm.engine.prompts]
    near = [RULES[1]]
    assert read == [
        *(("verdict", []), ("score", near), ("summary", near), ("title", near), ("score", near), ("reasoning", near))
    ]


def test_what_a_predictor_has_stays(lm):
    other = scripted(lambda prompt: {"answer": "of the other"})
    bare = dspy.Predict("question -> answer", temperature=0.5)
    bare.demos = [dspy.Example(question="2 + 2?", answer="4")]
    bare.lm = other
    routed = route(bare, {"self": routing()})
    assert isinstance(routed, RoutedPredict)
    assert type(bare) is dspy.Predict
    assert routed(question=MAGNETS).answer == "of the other"
    assert routed.demos == bare.demos
    assert routed.config == {"temperature": 0.5}
    assert routed.signature.fields.keys() == bare.signature.fields.keys()


def test_a_rule_set_in_the_instructions_is_not_doubled():
    compiled = dspy.Predict(dspy.Signature("question -> answer", whole(RULES)))
    assert route(compiled, {"self": routing()}).signature.instructions == whole(RULES)


class Own(dspy.Predict):
    pass


@pytest.mark.parametrize(("program", "name"), [(Nested(), "other"), (Own("question -> answer"), "self")])
def test_only_a_plain_predictor_can_be_routed(program, name):
    with pytest.raises(PLDError, match=f"no plain dspy.Predict '{name}'"):
        route(program, {name: routing()})


def test_instructions_of_another_hand_are_read_as_they_are(lm):
    routed = predictor()
    assert asked(lm, routed, MAGNETS, signature=routed.signature) == list(RULES)
    assert asked(lm, routed, MAGNETS) == [RULES[0]]
    routed.signature = routed.signature.with_instructions("Say no.")
    assert asked(lm, routed, MAGNETS) == []
    assert lm.engine.prompts[-1].instructions == ["Say no."]
    assert "routing" not in routed.dump_state()


def saved(program, path):
    program.save(path / "program.json")
    return json.loads((path / "program.json").read_text())


def test_a_saved_state_routes_a_fresh_program(lm, tmp_path):
    routed = route(Nested(), {"think.predict": routing(2), "by_name['last']": routing()})
    state = saved(routed, tmp_path)
    assert state["think.predict"]["routing"] == {"k": 2, "embedder": "tfidf", "task": TASK, "rules": [*RULES]}
    assert "routing" not in state["several[0]"]
    program = Nested()
    fresh = routed_by_state(program, state)
    fresh.load(tmp_path / "program.json")
    assert {type(one) for one in program.predictors()} == {dspy.Predict}
    assert fresh.dump_state() == routed.dump_state()
    assert asked(lm, fresh, MAGNETS) == [RULES[0], RULES[3]]
    assert [rules_of(prompt) for prompt in lm.engine.prompts if prompt.outputs == ["summary"]] == [[RULES[0]]]


def test_a_bare_predictor_is_routed_by_its_state(lm, tmp_path):
    state = saved(predictor(), tmp_path)
    fresh = routed_by_state(dspy.Predict("question -> answer"), state)
    fresh.load(tmp_path / "program.json")
    assert asked(lm, fresh, RIVERS) == [RULES[2]]


def test_a_state_replaces_the_routing_and_its_vectors(lm):
    new = tuple(rule.replace("name", "say") for rule in RULES)
    routed = predictor()
    assert asked(lm, routed, PLANTS) == [RULES[1]]
    copied = routed.deepcopy()
    routed.load_state(predictor(2, rules=new).dump_state())
    assert asked(lm, routed, MAGNETS) == [new[0], new[3]]
    assert routed.routing == routing(2, rules=new)
    assert asked(lm, copied, PLANTS) == [RULES[1]]


def test_the_state_of_a_plain_predictor_ends_the_routing(lm):
    routed = predictor()
    routed.load_state(dspy.Predict(routed.signature).dump_state())
    assert routed.routing is None
    assert asked(lm, routed, MAGNETS) == list(RULES)
    assert "routing" not in routed.dump_state()


def test_a_plain_predictor_that_loads_the_state_reads_all_rules(lm, tmp_path):
    predictor().save(tmp_path / "program.json")
    plain = dspy.Predict("question -> answer")
    plain.load(tmp_path / "program.json")
    assert asked(lm, plain, MAGNETS) == list(RULES)
    assert asked(lm, route(plain, {"self": routing()}), MAGNETS) == [RULES[0]]


@pytest.mark.parametrize("embedder", [None, letters])
def test_a_whole_program_is_saved_with_its_routing(lm, tmp_path, embedder):
    routed = route(Nested(), {"think.predict": routing()}, embedder)
    assert asked(lm, routed, PLANTS) == [RULES[1]]
    routed.save(tmp_path / "program", save_program=True)
    loaded = dspy.load(tmp_path / "program", allow_pickle=True)
    assert isinstance(loaded.think.predict, RoutedPredict)
    assert asked(lm, loaded, RIVERS) == [RULES[2]]


def test_a_file_holds_neither_weights_nor_keys(tmp_path, monkeypatch):
    local = predictor(1, SentenceEmbedder(str(tmp_path)))
    assert local.routing.embedder == f"hf:{tmp_path}"
    loaded = cloudpickle.loads(cloudpickle.dumps(local))._index.embedder
    assert isinstance(loaded, SentenceEmbedder)
    assert loaded.model == str(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    monkeypatch.setenv("PLD_EMBEDDER_API_KEY", "secret")
    keyed = predictor(1, by_name("openai/tiny"))
    assert b"secret" not in cloudpickle.dumps(keyed)
    assert "secret" not in json.dumps(keyed.dump_state())
    addressed = predictor(1, by_name("openai/tiny", "http://localhost:1"))
    assert "secret" not in json.dumps(addressed.dump_state())
    for holds_a_key in (addressed, predictor(1, dspy.Embedder("openai/tiny", api_key="secret"))):
        with pytest.raises(PLDError, match="that no file should hold"):
            cloudpickle.dumps(holds_a_key)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda program: program.deepcopy(), lambda p: p.reset_copy()])
def test_copies_route(lm, copied):
    program = route(Nested(), {"think.predict": routing()}, letters)
    assert asked(lm, copied(program), PLANTS) == [RULES[1]]
    assert asked(lm, copied(copied(program)), RIVERS) == [RULES[2]]
    assert copied(program).think.predict._index is program.think.predict._index


@pytest.mark.parametrize("embedder", [letters, Counting(), dspy.Embedder("openai/tiny", dimensions=3)])
def test_an_embedder_that_no_name_describes_cannot_be_saved(tmp_path, embedder):
    assert saved_name(embedder) is None
    routed = predictor(1, embedder)
    with pytest.raises(PLDError, match=f"cannot be saved.*{routed.routing.embedder}"):
        routed.save(tmp_path / "program.json")


def test_an_embedder_of_one_s_own_that_has_a_name_is_given_again(lm):
    own = Counting()
    own.name = "mine"
    state = predictor(1, own).dump_state()
    assert state["routing"]["embedder"] == "mine"
    with pytest.raises(PLDError, match="no embedder 'mine'"):
        routed_by_state(dspy.Predict("question -> answer"), state)
    fresh = routed_by_state(dspy.Predict("question -> answer"), state, own)
    fresh.load_state(state)
    assert asked(lm, fresh, PLANTS) == [RULES[1]]


def test_an_embedder_behind_an_address_is_given_again(lm):
    hosted, small = (by_name(f"openai/{name}", "http://localhost:1") for name in ("tiny", "small"))
    state = predictor(1, hosted).dump_state()
    assert "localhost" not in json.dumps(state)
    program = dspy.Predict("question -> answer")
    for embedder in (None, tfidf, by_name("openai/tiny"), small):
        with pytest.raises(PLDError, match=r"^server:openai/tiny is at an address that is not saved"):
            routed_by_state(program, state, embedder)
    fresh = routed_by_state(program, state, hosted)
    fresh.load_state(state)
    assert fresh._index.embedder is hosted


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"k": 0}, r"\['k'\]"),
        ({"k": 10**9}, r"\['k'\]"),
        ({"k": "2"}, r"\['k'\]"),
        ({"k": True}, r"\['k'\]"),
        ({"rules": ["If a, then b.", 3]}, r"\['rules', 1\]"),
        ({"rules": ["If a, then b.", "  "]}, r"\['rules', 1\]"),
        ({"rules": "If a, then b."}, r"\['rules'\]"),
        ({"task": None}, r"\['task'\]"),
        ({"more": 1}, r"\['more'\]"),
        ({"embedder": ["tfidf"]}, r"\['embedder'\]"),
        ({"embedder": "hf:"}, "An embedding model needs a name"),
    ],
)
def test_a_malformed_routing_is_an_error_and_changes_nothing(changed, says):
    routed = predictor()
    before = routed.dump_state()
    state = {**before, "routing": {**before["routing"], **changed}}
    for read in (lambda: routed_by_state(dspy.Predict("question -> answer"), state), lambda: routed.load_state(state)):
        with pytest.raises(PLDError, match=says):
            read()
    assert routed.dump_state() == before


@pytest.mark.parametrize("routing_of_state", [None, [], "tfidf"])
def test_a_routing_that_is_no_mapping_is_an_error(routing_of_state):
    with pytest.raises(PLDError, match="malformed at"):
        routed_by_state(Nested(), {"think.predict": {"routing": routing_of_state}})


def test_a_routing_that_contradicts_the_instructions_is_an_error():
    routed = predictor()
    before = routed.dump_state()
    state = copy.deepcopy(before)
    state["routing"]["rules"][0] = "If another hand writes, then say so."
    with pytest.raises(PLDError, match="differs from its predictor's instructions"):
        routed.load_state(state)
    assert routed.dump_state() == before


def test_a_rule_of_a_state_stays_a_line_of_the_prompt():
    assert routing(rules=("If a,\n\nthen b.",)).rules == ("If a, then b.",)
    with pytest.raises(ValidationError, match="k"):
        routing(0)
