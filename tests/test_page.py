import base64
import re
import subprocess
import sys
import warnings
from dataclasses import replace

import matplotlib
import numpy as np
import optuna
import pytest
from matplotlib import pyplot

from pld_dspy.clustering import search_clusters
from pld_dspy.distillation import Distillation
from pld_dspy.experiment import BeforeAfter, Summary
from pld_dspy.report.page import LONGEST, compile_page, write_page
from pld_dspy.report.pictures import study_pictures
from pld_dspy.report.tables import SIMULATED
from pld_dspy.rules import Rule, RuleSet, RuleUse
from pld_dspy.rules.edits import AppliedEdit, Edit
from pld_dspy.rules.steps import Step, Verdict
from pld_dspy.run import Failures, RunFolder, Usage
from pld_dspy.statistics import compare
from pld_dspy.student.coverage import Coverage, Share
from pld_dspy.synthesis.candidates import Candidate, settle

SCRIPT = "<script>alert(1)</script>"
REVISED = Edit(operation="revise", ids=("R1",), text=f"If {SCRIPT} is shown, look.", reason=f'because "{SCRIPT}"')
RULES = RuleSet(
    version=2,
    rules=(
        Rule(
            id="R1",
            text=f"If {SCRIPT} is shown, look.",
            examples=("1", f"2{SCRIPT}"),
            edits=(AppliedEdit(version=1, edit=REVISED, before=(f"If it is {SCRIPT}",)),),
            authors=("Ann",),
            use=RuleUse(gain=0.025, helped=1, hurt=0, n=20),
        ),
        Rule(id="R2", text="If a map is shown, find north & turn it.", examples=tuple(map(str, range(600)))),
        Rule(id="R3", text="If long, " + "x" * (LONGEST + 1000)),
    ),
    last_id=3,
)
STEPS = [
    Step(
        iteration=1,
        purpose="repair",
        predictor="answer",
        edit=REVISED,
        before=["If it was so"],
        failures=["7"],
        authors=["Ann"],
        verdict=Verdict(
            accepted=True,
            why="gains: 5 better, 0 worse of 20, p = 0.062",
            mended=1,
            comparison=compare([0.0] * 20, [1.0] * 5 + [0.0] * 15),
            whole=True,
        ),
    ),
    Step(
        iteration=2,
        purpose="repair",
        predictor="answer",
        edit=REVISED,
        failures=[SCRIPT],
        verdict=Verdict(accepted=False, why="mends none of the 2 failures it was written for", mended=0),
    ),
]
GROUPS = {
    "figure_type": {"plot": Share(n=4, covered=1), SCRIPT: Share(n=2, covered=2)},
    "topic": {f"topic {n}": Share(n=2, covered=1) for n in range(30)},
}
CANDIDATES = settle(
    [
        Candidate(clusterings={"answer": f"eps 0.4 {SCRIPT}"}, rules={"answer": RULES}, prompt_tokens=900, score=0.75),
        Candidate(clusterings={"answer": "8 clusters"}, rules={"answer": RULES}, prompt_tokens=300, score=0.6),
        Candidate(clusterings={"answer": "2 clusters"}, rules={"answer": RULES}, prompt_tokens=400, score=0.5),
    ]
)
FAILURES = Failures(
    role="student", purpose=f"Validating {SCRIPT}", kind="no reply", n=12, ids=[f"q{SCRIPT}"], reason=f"busy {SCRIPT}"
)
MODELS = {"teacher": "openai/large", "student": f"small{SCRIPT}"}


def distillation(**changes):
    fields = {
        "rules": {"answer": RULES},
        "in_prompt": {"answer": RULES},
        "returned": f"Version 1 of the rules is returned {SCRIPT}",
        "steps": STEPS,
        "validation": {"student": 0.25, "clustered": 0.5, "compiled": 0.75},
        "usage": {"teacher": Usage(calls=12, prompt_tokens=3456, cost_usd=1.5), "student": Usage(calls=7)},
        "budget_spent": False,
        "failures": [FAILURES],
        "models": MODELS,
        "clusterings": {},
        "candidates": CANDIDATES,
        "coverage": Coverage(n=6, covered=3, groups=GROUPS),
    }
    return Distillation(**{**fields, **changes})


NOTHING = {
    "rules": {},
    "in_prompt": {},
    "steps": [],
    "validation": {},
    "usage": {},
    "budget_spent": True,
    "failures": [],
    "candidates": [],
    "coverage": Coverage(n=0, covered=0),
}


def page(summary=None, **changes):
    return compile_page("scienceqa", distillation(**changes), summary)


def summary():
    return Summary(
        program="scienceqa",
        data="sample",
        modality="image",
        models=MODELS,
        n={"train": 6, "val": 20, "test": 1200},
        skipped=0,
        score=BeforeAfter(baseline=0.4, compiled=0.625),
        returned="Version 1 of the rules is returned",
        coverage=Coverage(n=6, covered=3),
        validation={},
        rules=3,
        prompt_tokens=BeforeAfter(baseline=100, compiled=200),
        failures=[FAILURES],
        usage={"teacher": Usage(), "student": Usage(), "describer": Usage(calls=99)},
        seconds=1,
        log_dir="runs/first",
    )


@pytest.fixture(scope="module")
def clustering():
    rng = np.random.default_rng(0)
    centres = np.repeat(rng.normal(size=(5, 16)), 12, axis=0)
    return search_clusters(centres + 0.3 * rng.normal(size=centres.shape), n_trials=30)


@pytest.fixture(scope="module")
def drawn(clustering):
    """A page with all that can be drawn."""
    return page(summary(), clusterings={"answer": clustering})


def made(values, suggest):
    """A study with the given values."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
    left = iter(values)

    def objective(trial):
        suggest(trial)
        return next(left)

    study.optimize(objective, n_trials=len(values))
    return study


def words(html):
    """A page's text, without its markup."""
    return " ".join(re.sub(r"<[^>]*>", " ", html[html.index("<body>") :]).split())


def test_needs_no_network_and_no_script(drawn):
    assert "<script" not in drawn
    assert drawn.count("&lt;script&gt;") >= 12, "escaped wherever data is shown"
    assert not re.search(r"https?:|//[a-z]|<link|@import|<iframe", drawn.replace("image/svg+xml", ""))
    sources = re.findall(r'(?:src|href)="([^"]{30})', drawn)
    assert len(sources) == len(re.findall(r"src=|href=", drawn)) >= 4  # three plots of the study, one of the candidates
    assert all(source.startswith("data:image/svg+xml;base64,") for source in sources)
    assert len(re.findall(r'<img src="[^"]*" alt="[^"]{10,}">', drawn)) == len(sources)
    for coded in re.findall(r'base64,([^"]*)"', drawn):
        picture = base64.b64decode(coded).decode()
        assert "<script" not in picture
        assert not re.search(r'(?:href|src)="(?!#|data:)', picture)


def test_every_rule_is_there_with_its_support_examples_and_edits():
    text = words(page())
    assert "If &lt;script&gt;alert(1)&lt;/script&gt; is shown, look." in text
    assert "If a map is shown, find north &amp; turn it." in text
    assert "x" * (LONGEST - 20) in text
    assert "more characters)" in text
    assert "x" * LONGEST not in text
    assert "R1 from 2 examples; by Ann; use +2.5%: 1 of 20 answers better with it, 0 worse" in text
    assert "examples and 1 edit" in text
    assert "before: If it is &lt;script&gt;" in text
    assert "498, 499 and 100 more" in text
    assert "did not fit" not in text


def test_rules_that_do_not_fit_are_counted():
    cut = {"answer": RULES.model_copy(update={"rules": RULES.rules[:1]})}
    assert "2 more did not fit into the prompt" in words(page(in_prompt=cut))


def test_the_first_line_is_the_result():
    assert "40.0% → 62.5% on 1,200 test questions" in words(page(summary()))
    assert "25.0% → 75.0% on the validation set" in words(page())
    assert "25.0% on the validation set, as the student came" in words(page(validation={"student": 0.25}))
    assert "No score" in words(page(**NOTHING))


def test_simulated_models_are_called_so():
    simulated = page(models={"teacher": "openai/x", "student": "rehearsal:seed=0"})
    assert simulated.index(SIMULATED) < simulated.index("Validation scores")
    assert SIMULATED not in page()


def test_figures_stand_beside_their_bars():
    text = words(page())
    assert "by figure type plot 1 of 4 25.0%" in text
    assert "10 others 10 of 20 50.0%" in text
    assert "the student as it came 25.0%" in text


def test_candidates_edits_and_usage():
    text = words(page(summary()))
    assert "1 3 900 75.0% chosen , on the front answer: eps 0.4" in text
    assert "2 3 300 60.0% on the front" in text
    assert "3 3 400 50.0% answer: 2 clusters" in text
    assert "1 of 2 edits were taken" in text
    assert "accepted : gains: 5 better, 0 worse of 20, p = 0.062; mends 1 of the 1 failures" in text
    assert "before: If it was so" in text
    assert "rejected : mends none of the 2 failures it was written for" in text
    assert "Changes what Ann wrote." in text
    assert "Why: because" in text
    assert "describer 99 0 0 no price known" in text
    assert "teacher 12 3,456 0 1.50" in words(page())


def test_what_failed_is_named_with_its_step_count_and_reason():
    for text in (words(page()), words(page(summary()))):
        assert re.search(r"What failed .* Validating .* student no reply 12 q.*, … busy", text)
    assert "What failed" not in words(page(**NOTHING))


def test_with_nothing_to_show():
    text = words(page(**NOTHING))
    for said in (
        "The budget ended this compile",
        "Nothing was validated.",
        "There are no rules.",
        "No clustering was tried",
        "No edit was tried.",
        "Nothing was clustered.",
    ):
        assert said in text
    assert "<img" not in page(candidates=CANDIDATES[:1]), "one point is no picture"


def test_a_page_that_cannot_be_made_is_a_warning(tmp_path, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    write_page(RunFolder(tmp_path / "run"), "scienceqa", distillation())
    assert "report.html could not be made" in caplog.text
    assert not (tmp_path / "run").exists()


def test_equal_input_gives_equal_bytes(clustering, drawn):
    assert page(summary(), clusterings={"answer": clustering}) == drawn


def test_halves_of_characters_can_be_written():
    groups = {"kind": {"\ud800": Share(n=1, covered=0)}}
    page(coverage=Coverage(n=1, covered=0, groups=groups)).encode()


def test_optunas_plots(drawn):
    names = [name.replace("&#39;", "'") for name in re.findall('alt="(Optuna[^"]*)"', drawn)]
    wanted = ["history of the trials' values", "importance of the parameters", "values by parameter"]
    assert names == [f"Optuna's plot: {name}." for name in wanted]
    assert '<div class="wide" tabindex="0"' in drawn, "a slice for each parameter is wider than the page"
    assert "The best value of 30 trials is" in drawn


@pytest.mark.parametrize(
    ("values", "suggest"),
    [
        ([0.5], lambda trial: trial.suggest_float("eps", 0, 1)),
        ([0.5, 0.5, 0.5], lambda trial: trial.suggest_categorical("algorithm", ["dbscan"])),
        ([0.5, float("nan")], lambda trial: trial.suggest_int("k", 2, 2, log=True)),
    ],
)
def test_plots_that_cannot_be_drawn_are_named(values, suggest, clustering, capfd):
    found = replace(clustering, study=made(values, suggest))
    capfd.readouterr()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        html = page(clusterings={"answer": found})
    assert "Not drawn, since the trials are too few or too alike:" in html
    assert capfd.readouterr() == ("", ""), "nothing that Optuna says reaches the user"


@pytest.mark.parametrize("study", [None, made([], lambda trial: None)])
def test_without_a_search(study, clustering):
    html = page(clusterings={"answer": replace(clustering, study=study)})
    assert "There was no search, or there were too few" in html
    assert str(clustering) in html


def test_leaves_matplotlib_and_optuna_as_they_were(clustering):
    optuna.logging.set_verbosity(optuna.logging.INFO)
    matplotlib.use("svg")
    mine = pyplot.figure()
    before = dict(matplotlib.rcParams)
    try:
        study_pictures(clustering.study)
        study_pictures(made([0.5], lambda trial: trial.suggest_float("eps", 0, 1)))
        assert dict(matplotlib.rcParams) == before
        assert matplotlib.get_backend() == "svg"
        assert pyplot.get_fignums() == [mine.number]
        assert pyplot.gcf() is mine
    finally:
        pyplot.close(mine)
        matplotlib.use("agg")
        optuna.logging.set_verbosity(optuna.logging.WARNING)


def test_is_light_to_import():
    heavy = "{'jinja2', 'matplotlib', 'optuna'}"
    code = f"import sys, pld_dspy.report.page; print(sorted({heavy} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
