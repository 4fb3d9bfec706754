"""Benchmarks as lists of `dspy.Example`: official-layout folders, the hub and the generated sample.

A loader that a package registers is called as `loader(source, split, limit=..., seed=..., modality=..., describe=...,
**settings)`, with a `Path` or a `Hub`, and returns examples with `Figure`s.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import dspy

from pld_dspy.datasets.hub import Hub
from pld_dspy.datasets.images import BadImage, Figure, faults, figures_of
from pld_dspy.errors import PLDError
from pld_dspy.examples import example_id
from pld_dspy.plugins import named

__all__ = ["BadImage", "Examples", "Figure", "Hub", "load"]


class Examples(list[dspy.Example]):
    """The examples of a split, and the faults of those that were left out because of a bad image."""

    def __init__(self, examples: Sequence[dspy.Example] = (), skipped: Sequence[BadImage] = ()) -> None:
        super().__init__(examples)
        self.skipped = list(skipped)


def load(
    name: str,
    split: str = "test",
    source: str | Path = "sample",
    *,
    limit: int | None = None,
    seed: int = 0,
    modality: str = "image",
    describe: Callable[[Sequence[dspy.Image]], list[str]] | None = None,
    on_bad_image: Literal["stop", "skip"] = "stop",
    **settings: Any,
) -> Examples:
    """Load one split of a benchmark.

    Images are not kept in memory: an example's `dspy.Image`s are read when a prompt is made. Each is decoded once here,
    so that a bad one is found before any model is paid.

    >>> example = load("scienceqa", "train", limit=1)[0]
    >>> list(example.inputs())
    ['question', 'choices', 'context', 'caption', 'image', 'choice_images']
    >>> len(load("spiqa", "test", limit=5, modality="caption"))
    5

    Args:
        name: "scienceqa", "spiqa", or a name that an installed package registers under `pld_dspy.datasets`.
        split: "train", "val" or "test", or another split that the source has.
        source: "sample" (generated here, simulated figures), "hub", "hub:NAME" for another repository or a local copy
            of one, or a folder in the benchmark's official layout.
        limit, seed: at most so many examples, drawn at random with the seed, which is that of every draw; None for all.
        modality: what the examples hold of a figure: "image"; or "caption", "describe" or "text" for models without
            eyes; or another that the benchmark has.
        describe: for the modality "describe", as `pld_dspy.datasets.describe.Describer`: figures → a text for each.
        on_bad_image: "stop" at the first bad image, or "skip" the examples that need one; `skipped` names them.
        settings: the benchmark's own, such as `longest_side=768`; see its loader.

    Raises:
        BadImage: an image is missing, damaged or too large, and `on_bad_image` is "stop".
        PLDError: there is no such benchmark, source, split, modality or setting, or the data are faulty.
    """
    if modality.startswith("describe") and describe is None:
        raise PLDError(f"The modality {modality!r} needs something that describes: a vision model, or OCR.")
    bad: dict[str, BadImage] = {}  # by example

    def check(figures: Sequence[dspy.Image]) -> None:
        for fault in faults(figures):
            if on_bad_image == "stop":
                raise fault
            bad.setdefault(fault.example, fault)

    def describe_good(figures: Sequence[Figure]) -> list[str]:
        check(figures)
        texts = iter(describe([figure for figure in figures if figure.example not in bad]) if describe else ())
        return ["" if figure.example in bad else next(texts) for figure in figures]

    settings |= {"limit": limit, "seed": seed, "modality": modality, "describe": describe_good}
    examples = _read(name, source, split, settings)
    check([figure for example in examples for figure in figures_of(example)])
    return Examples([example for example in examples if example_id(example) not in bad], list(bad.values()))


def _read(name: str, source: str | Path, split: str, settings: dict[str, Any]) -> list[dspy.Example]:
    """What the benchmark's loader makes of the source."""
    loader: Callable[..., list[dspy.Example]] = named("datasets", name, {}, "dataset")
    try:
        return loader(_place(name, source), split, **settings)
    except TypeError as error:
        if "unexpected keyword argument" not in str(error):
            raise
        raise PLDError(f"A setting is none that {name} has: {error}.") from error


def _place(name: str, source: str | Path) -> Path | Hub:
    if source == "sample":
        from pld_dspy.datasets.sample import sample_folder

        return sample_folder(name)
    kind, _, repository = str(source).partition(":")
    if kind == "hub":
        return Hub(repository)
    folder = Path(source)
    if not folder.is_dir():
        raise PLDError(f"There is no folder {folder}: give 'sample', 'hub' or a folder in {name}'s official layout.")
    return folder
