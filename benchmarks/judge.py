"""How far a judge of L3Score can be trusted: what it gives to gold answers and to answers of other questions.

    python benchmarks/judge.py FOLDER RUN --judge openai/qwen-1.5b --judge-api-base http://127.0.0.1:8105/v1

FOLDER is SPIQA in its official layout, RUN the folder that `pld evaluate spiqa --split test --log-dir RUN` wrote.
"""

import argparse
import json
from pathlib import Path

from pld_dspy.datasets import load
from pld_dspy.metrics import L3Score
from pld_dspy.models import language_model
from pld_dspy.run.folder import read_lines
from pld_dspy.run.runner import Runner
from pld_dspy.student.evaluation import Scored

SHIFT = 37  # questions between a question and the one whose answer it gets


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("run", type=Path)
    arguments.add_argument("--judge", required=True)
    arguments.add_argument("--judge-api-base")
    given = arguments.parse_args()
    answers = {line.example: line.outputs.get("answer") for line in read_lines(given.run / "evaluations.jsonl", Scored)}
    examples = load("spiqa", "test", given.folder, modality="caption")
    examples = [example for example in examples if example.question_id in answers]
    own, gold = [answers[example.question_id] for example in examples], [example.answer for example in examples]
    other = [own[(number + SHIFT) % len(own)] for number in range(len(own))]
    judge = L3Score(language_model("judge", given.judge, given.judge_api_base))
    runner = Runner(2, display_progress=True)
    for name, judged in (("gold", gold), ("the student's", own), ("other questions'", other)):
        scores = judge.score(examples, judged, runner).examples
        print(json.dumps({"answers": name, "n": len(scores), "l3score": round(sum(scores) / len(scores), 4)}))


if __name__ == "__main__":
    main()
