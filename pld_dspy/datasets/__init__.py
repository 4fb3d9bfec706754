"""Benchmarks as lists of `dspy.Example`: official-layout folders and the generated sample."""

from importlib.metadata import entry_points
from pathlib import Path

import dspy

from pld_dspy.datasets.files import Modality
from pld_dspy.errors import PLDError

__all__ = ["Modality", "load"]


def load(
    name: str,
    split: str = "test",
    source: str | Path = "sample",
    *,
    limit: int | None = None,
    seed: int = 0,
    modality: Modality = "image",
) -> list[dspy.Example]:
    """Load one split of a benchmark.

    Args:
        name: "scienceqa", "spiqa", or a name that an installed package registers under `pld_dspy.datasets`.
        split: "train", "val" or "test", or another split that the source has.
        source: "sample" (generated here, simulated figures) or a folder in the benchmark's official layout.
        limit: at most so many examples, drawn at random with `seed`; None for all.
        seed: of that draw.
        modality: "image"; or "caption" or "text" for models without eyes.

    Raises:
        PLDError: there is no such benchmark, source or split, or the data are faulty.
    """
    loaders = {entry.name: entry for entry in entry_points(group="pld_dspy.datasets")}
    if name not in loaders:
        raise PLDError(f"There is no dataset {name!r}; installed are: {', '.join(sorted(loaders)) or 'none'}.")
    if source == "hub":
        raise PLDError("Data cannot be read from the hub yet: download the benchmark and give its folder.")
    if source == "sample":
        from pld_dspy.rehearsal.sample import sample_folder

        folder = sample_folder(name)
    else:
        folder = Path(source)
    if not folder.is_dir():
        raise PLDError(f"There is no folder {folder}: give 'sample' or a folder in the official layout of {name}.")
    return loaders[name].load()(folder, split, limit=limit, seed=seed, modality=modality)
