"""How good the search for clusters is, what it does with a continuum, and how it scales.

    python benchmarks/clustering.py --data FOLDER              # all parts
    python benchmarks/clustering.py --part speed --part scale  # some; --quick for small sizes

quality    real ScienceQA texts (FOLDER in the official layout; embedded with MiniLM) and their skills, which the search
           does not see: the search, the best setting of the search space when the labels are looked at, and plain
           scikit-learn on the embeddings as they are; also on random parts of the solutions and on other texts.
           AMI counts each noise point as a cluster. Silhouettes are by cosine after centring, 0 for noise.
continuum  Gaussian clouds without any groups.
speed      a search of 50 trials and 50 plain DBSCAN fits, in the same run.
scale      seconds and memory up to 100,000 embeddings, each size in a process of its own.

All but times and memory is the same in each run.
"""

import argparse
import logging
import os
import platform
from pathlib import Path

import clustering_quality
import clustering_speed
import numpy
import optuna
import scipy
import sklearn
from rich.console import Console

PARTS = ("quality", "continuum", "speed", "scale")


def machine() -> str:
    cpu = Path("/proc/cpuinfo")
    lines = cpu.read_text().splitlines() if cpu.exists() else []
    model = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())
    versions = ", ".join(f"{module.__name__} {module.__version__}" for module in (numpy, scipy, sklearn, optuna))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{cores} cores of {model}; Python {platform.python_version()}, {versions}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=PARTS, action="append", help="repeatable; default: all")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="with ScienceQA's problems.json")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it runs")
    arguments = parser.parse_args()
    parts = arguments.part or PARTS
    if "quality" in parts and not (arguments.data and (arguments.data / "problems.json").is_file()):
        parser.error("the part quality needs --data FOLDER with ScienceQA's problems.json")
    logging.getLogger("pld_dspy").setLevel(logging.ERROR)  # weak structures stand in the tables
    console = Console(width=100, highlight=False)
    console.print(machine() + ("; --quick" if arguments.quick else ""), soft_wrap=True)
    for part in PARTS:
        if part not in parts:
            continue
        console.rule(part, align="left")
        if part == "quality":
            printed = clustering_quality.run(arguments.data, arguments.quick)
        else:
            printed = getattr(clustering_speed, part)(arguments.quick)
        for one in printed:
            console.print(one)
            console.print()


if __name__ == "__main__":
    main()
