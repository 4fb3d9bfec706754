"""A compile whose models' server refuses calls."""

import dspy
import pytest
from loopback import openai_server

from pld_dspy import PLDTeleprompter
from pld_dspy.clustering import tfidf
from pld_dspy.experiment import load_task
from pld_dspy.experiment.compiling import compile_task

STATUSES = (400, 401, 404, 408, 429, 500, 503)
SPLITS = {"train": 20, "val": 10, "test": 10}


def compiled(refused=lambda number: None, folder=None):
    """The program that comes back, its summary, and the requests of the compile and the test."""
    task = load_task("scienceqa", "sample", SPLITS)
    with openai_server(refused=refused) as (address, requests):
        lm = dspy.LM("openai/simulated", api_base=address, api_key="none", cache=False, num_retries=0)
        teleprompter = PLDTeleprompter(teacher_lm=lm, embedder=tfidf, num_threads=1, log_dir=folder)
        program, summary = compile_task(task, teleprompter, lm)
    return program, summary, requests


def told(program) -> dict[str, str]:
    return {name: predictor.signature.instructions for name, predictor in program.named_predictors()}


@pytest.fixture(scope="module")
def whole():
    """What comes of a compile without a refusal."""
    return compiled()


def same_as(whole, place, status):
    """Whether one refused request changes nothing."""
    program, summary, requests = compiled(lambda number: status if number == place else None)
    assert told(program) == told(whole[0]), f"request {place} refused with {status}"
    assert (summary.validation, summary.score) == (whole[1].validation, whole[1].score)
    assert summary.failures == []
    return requests


@pytest.mark.parametrize(("share", "status"), [(0.0, 429), (0.08, 500), (0.3, 401), (0.99, 400)])
def test_one_refused_request_changes_nothing(whole, share, status):
    place = int(share * len(whole[2]))
    assert len(same_as(whole, place, status)) == len(whole[2]) + 1, "asked once more"


@pytest.mark.slow
@pytest.mark.parametrize("turn", range(20))
def test_one_refused_request_changes_nothing_wherever_it_is(whole, turn):
    same_as(whole, turn * len(whole[2]) // 20, STATUSES[turn % len(STATUSES)])
