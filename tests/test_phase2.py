"""Phase 2 inside a compile: the embedder, the search's settings, and the clusterings that validation settles."""

import json

import dspy
import numpy as np
import optuna
import pytest
from scripted import examples, scripted
from sklearn.cluster import KMeans

from pld_dspy import PLDError, PLDTeleprompter
from pld_dspy.clustering import Clustering, micro_rules, tfidf
from pld_dspy.clustering.quality import Quality
from pld_dspy.models.sentence_embedder import SentenceEmbedder
from pld_dspy.run import Budget, BudgetSpent
from pld_dspy.student import Evaluator

STUDENT = dspy.Predict("question -> answer")


WORDS = (
    "apples birds clouds doors eagles foxes grapes hats islands jars kites lamps moons nests owls pears rivers stars"
)


def word(question: str) -> str:
    return WORDS.split()[int(question.split("Is ")[1].split()[0])]


def world(prompt):
    """A teacher whose united rules are useless, and a student that needs the rule for its own question."""
    if "rules" in prompt.fields and "rule" in prompt.outputs:
        return {"rule": "If anything is asked, then be careful."}
    if "rule" in prompt.outputs:
        rule = f"If the question is about {word(prompt.fields['example'])}, then say yes."
        return {"rule": rule, "reasoning": "So.", "question_kind": "things"}
    if "edits" in prompt.outputs:
        return {"edits": "[]", "reasoning": "Nothing."}
    return dict.fromkeys(prompt.outputs, "yes" if word(prompt.fields["question"]) in prompt.system else "no")


def found(*partitions):
    """A search that finds these partitions, the best one first."""

    def search_clusters(embeddings, **settings):
        asked.append(settings)
        clusterings = [
            Clustering(np.array(labels), {"algorithm": name}, None, Quality(1, 0.5, 0.0, 0.1, 0.2), structure=0.5)
            for name, labels in partitions
        ]
        return Clustering(**{**vars(clusterings[0]), "alternatives": tuple(clusterings[1:])})

    asked: list[dict] = []
    search_clusters.asked = asked
    return search_clusters


def compiled_with(search, monkeypatch, num_candidates=None, max_lm_calls=None, **arguments):
    monkeypatch.setattr(micro_rules, "search_clusters", search)
    budget = Budget(max_iterations=0, num_candidates=num_candidates, max_lm_calls=max_lm_calls)
    with dspy.context(lm=scripted(world)):
        teleprompter = PLDTeleprompter(embedder=tfidf, budget=budget, num_threads=1, **arguments)
        return teleprompter.compile(STUDENT, trainset=examples(4), valset=examples(4))


HEAP, APART = ("heap", [0, 0, 0, 0]), ("apart", [-1, -1, -1, -1])


def test_validation_decides_which_clustering_is_kept(tmp_path, monkeypatch):
    compiled = compiled_with(found(HEAP, APART), monkeypatch, log_dir=tmp_path / "run")
    assert [(each.score, each.chosen) for each in compiled.pld.candidates] == [(0.0, False), (1.0, True)]
    assert compiled.pld.validation == {"student": 0.0, "clustered": 1.0, "compiled": 1.0}
    assert len(compiled.pld.rules["self"]) == 4
    assert json.loads((tmp_path / "run/rules/000.json").read_text())["self"]["last_id"] == 4
    assert not (tmp_path / "run/rules/001.json").exists()
    assert list(json.loads((tmp_path / "run/clusters.json").read_text())["self"]["clusters"]) == ["noise"]
    kept = [json.loads(line) for line in (tmp_path / "run/candidates.jsonl").read_text().splitlines()]
    assert [each["chosen"] for each in kept] == [False, True]
    assert kept[0]["rules"]["self"]["rules"][0]["text"] == "If anything is asked, then be careful."


def test_one_candidate_leaves_the_choice_to_the_search(monkeypatch):
    compiled = compiled_with(found(HEAP, APART), monkeypatch, num_candidates=1)
    assert len(compiled.pld.candidates) == 1
    assert compiled.pld.validation["clustered"] == 0.0


def test_equal_partitions_are_tried_once(monkeypatch):
    compiled = compiled_with(found(APART, ("again", [-1, -1, -1, -1]), HEAP), monkeypatch)
    assert [each.clusterings["self"].split(":")[0] for each in compiled.pld.candidates] == ["apart", "heap"]


def test_with_half_the_budget_used_no_further_clustering_is_tried(monkeypatch):
    # 4 validations of the student, 4 lessons, 1 union and 4 validations are 13 calls.
    assert len(compiled_with(found(HEAP, APART), monkeypatch, max_lm_calls=26).pld.candidates) == 1
    assert len(compiled_with(found(HEAP, APART), monkeypatch, max_lm_calls=27).pld.candidates) == 2


def test_a_budget_that_ends_in_the_second_candidate_keeps_the_first(monkeypatch):
    evaluate = Evaluator.__call__

    def until_the_second(self, program, examples, description):
        if description == "Validating clustering 2":
            raise BudgetSpent
        return evaluate(self, program, examples, description)

    monkeypatch.setattr(Evaluator, "__call__", until_the_second)
    compiled = compiled_with(found(HEAP, APART), monkeypatch)
    assert [each.chosen for each in compiled.pld.candidates] == [True]
    assert compiled.pld.validation == {"student": 0.0, "clustered": 0.0, "compiled": 0.0}
    assert len(compiled.pld.rules["self"]) == 0, "the first is validated and no better than the student"


def test_the_search_is_told_how_many_rules_the_prompt_holds(monkeypatch):
    few, many = found(APART), found(APART)
    compiled_with(few, monkeypatch, max_rule_tokens=60)
    compiled_with(many, monkeypatch, max_rule_tokens=None)
    assert few.asked[0]["max_clusters"] < 6
    assert many.asked[0]["max_clusters"] == micro_rules.MAX_CLUSTERS


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"clustering": {"trials": 5}}, "no setting trials; it has n_trials"),
        ({"clustering": "kmeans"}, "neither settings"),
        ({"embedder": SentenceEmbedder("no/such-model")}, "'no/such-model' cannot be loaded"),
    ],
)
def test_what_cannot_cluster_is_said_before_a_model_is_asked(arguments, says):
    lm = scripted(world)
    with dspy.context(lm=lm), pytest.raises(PLDError, match=says):
        PLDTeleprompter(**arguments).compile(STUDENT, trainset=examples(6))
    assert not lm.engine.prompts


def test_fewer_rules_than_an_estimator_wants_is_an_error_with_the_estimator_in_it():
    with dspy.context(lm=scripted(world)), pytest.raises(PLDError, match=r"KMeans\(n_clusters=17\) cannot cluster 4"):
        PLDTeleprompter(embedder=tfidf, clustering=KMeans(17)).compile(STUDENT, trainset=examples(6))


def test_a_stored_study_is_taken_up_again_and_its_place_is_told_nobody(tmp_path):
    storage = f"sqlite:///{tmp_path}/study.db"

    def run(n_trials, folder):
        settings = {"n_trials": n_trials, "storage": storage, "study_name": "mine"}
        with dspy.context(lm=scripted(world)):
            teleprompter = PLDTeleprompter(embedder=tfidf, clustering=settings, log_dir=folder, num_threads=1)
            teleprompter.compile(STUDENT, trainset=examples(8), valset=examples(4))
        return [trial.params for trial in optuna.load_study(study_name="mine", storage=storage).trials]

    first = run(4, tmp_path / "first")
    second = run(7, tmp_path / "second")
    assert (len(first), len(second)) == (4, 7)
    assert second[:4] == first
    configuration = json.loads((tmp_path / "second/run.json").read_text())["configuration"]
    assert configuration["embedder"] == "tfidf"
    assert configuration["clustering"] == "search n_trials=7"
