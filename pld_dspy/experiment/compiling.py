"""A whole experiment: load a task, compile its student, and score the test split before and after."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from inspect import signature
from pathlib import Path
from typing import Any

import dspy
import orjson
from pydantic import BaseModel

from pld_dspy.datasets import BadImage, load
from pld_dspy.errors import PLDError
from pld_dspy.models.embedders import Embedder
from pld_dspy.plugins import named
from pld_dspy.run import Failures, RunFolder, Runner, Usage, grouped
from pld_dspy.statistics import common_means
from pld_dspy.student import Coverage, Evaluator, Metric, examples_of, metric_of
from pld_dspy.student.routing import routed_by_state
from pld_dspy.teacher import Teacher
from pld_dspy.teleprompter import PLDTeleprompter


@dataclass(frozen=True)
class Task:
    """A program and the examples that it is compiled and scored on, by split."""

    name: str
    source: str
    program: dspy.Module
    examples: dict[str, list[dspy.Example]]
    modality: str = "image"
    skipped: list[BadImage] = field(default_factory=list)  # of examples that were left out
    usage: dict[str, Usage] = field(default_factory=dict)  # of a describer, by role

    @property
    def metric(self) -> Metric:
        """The program's own metric, or exact match."""
        return metric_of(self.program)


class BeforeAfter(BaseModel):
    """A figure of the student as it came and of the compiled one."""

    baseline: float | None
    compiled: float | None


class Summary(BaseModel):
    """What a compile came to: summary.json, and what `pld compile --json` prints."""

    program: str
    data: str
    modality: str
    models: dict[str, str]  # by role
    n: dict[str, int]  # by split
    skipped: int  # examples that were left out for a bad image
    score: BeforeAfter  # fractions of the test split, of questions with replies on both sides
    validation: dict[str, float]
    rules: int  # in the student's prompt
    returned: str  # which program came back, and why
    coverage: Coverage  # of the training examples by the rules in the prompt
    prompt_tokens: BeforeAfter  # mean input of a question
    failures: list[Failures]  # what came to nothing, also when it was asked again
    usage: dict[str, Usage]  # by role
    seconds: float
    log_dir: str


def load_task(
    name: str, source: str, sizes: dict[str, int], *,
    modality: str = "image", program_settings: Mapping[str, Any] | None = None,
    data_settings: Mapping[str, Any] | None = None, **loading: Any,
) -> Task:  # fmt: skip
    """Find a program by its entry-point name, and load its benchmark.

    Args:
        name: registered under the entry-point group `pld_dspy.programs`.
        source: "sample", "hub", "hub:NAME" or a folder.
        sizes: at most so many examples of each split that is named.
        modality: what the program gets of a figure; a program whose constructor does not take it can only be "image".
        program_settings: further arguments of the program's constructor, such as `reasoning=True`.
        data_settings: further arguments of the benchmark's loader, such as `longest_side=768`.
        loading: further arguments of `pld_dspy.datasets.load`, such as `seed` and `on_bad_image`.

    Raises:
        PLDError: there is no such program, setting or data.
    """
    make: Callable[..., dspy.Module] = named("programs", name, {}, "program")
    if "modality" in (program_settings or {}):
        raise PLDError("modality is no setting of the program, but has an option of its own.")
    if taken := (data_settings or {}).keys() & signature(load).parameters.keys():
        raise PLDError(f"{', '.join(sorted(taken))} is no setting of the data, but has an option of its own.")
    try:
        program = make(**({} if modality == "image" else {"modality": modality}), **(program_settings or {}))
    except TypeError as error:
        raise PLDError(f"The program {name} does not take these settings: {error}.") from error
    dataset, loading = getattr(program, "dataset", name), {"modality": modality, **loading, **(data_settings or {})}
    examples = {split: load(dataset, split, source, limit=size, **loading) for split, size in sizes.items()}
    skipped = [fault for loaded in examples.values() for fault in loaded.skipped]
    return Task(name, source, program, dict(examples), modality, skipped)


def load_program(program: dspy.Module, path: str | Path, embedder: Embedder | None = None) -> dspy.Module:
    """A copy of a program with a compiled program's state.

    Args:
        program: of the same class and settings as the compiled one.
        path: what `compiled.save` or a compile wrote.
        embedder: for rules that are chosen by the question, where their embedder is behind an address.

    Raises:
        PLDError: the file is missing, is not the state of such a program, or was compiled with other fields, as those
            of another modality.
    """
    try:
        state = orjson.loads(Path(path).read_bytes())
        own, compiled = _read_fields(program.dump_state()), _read_fields(state)
        if compiled != own:
            fields = f"it asks with {compiled}; this program with {own}"
            raise PLDError(f"{path} was compiled with other settings, such as the modality: {fields}.")
        loaded = routed_by_state(program, state, embedder)
        # A model that was saved with the program is left out: who loads it names the model.
        loaded.load_state({name: {**part, "lm": None} for name, part in state.items() if name != "metadata"})
        return loaded
    except PLDError:
        raise
    except FileNotFoundError as error:
        raise PLDError(f"There is no compiled program {path}.") from error
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise PLDError(f"{path} is not the state of a {type(program).__name__}: {error!r}.") from error


def _read_fields(state: dict[str, Any]) -> str:
    """The predictors of a program's state with their fields, which DSPy would else pair by their order."""
    return "; ".join(
        f"{name}: {', '.join(field['prefix'].rstrip(':').lower() for field in predictor['signature']['fields'])}"
        for name, predictor in sorted(state.items())
        if name != "metadata"
    )


def compile_and_score(
    task: Task, teleprompter: PLDTeleprompter, student_lm: dspy.BaseLM, teacher: Teacher | str | None = None
) -> Summary:
    """Compile a task's program, score it and the program as it came on the test split, and write summary.json.

    Files go to the teleprompter's `log_dir`. `teacher` is the teleprompter's.

    Raises:
        PLDError: as `PLDTeleprompter.compile`; or the metric fails on a test example.
    """
    return compile_task(task, teleprompter, student_lm, teacher)[1]


def compile_task(
    task: Task, teleprompter: PLDTeleprompter, student_lm: dspy.BaseLM, teacher: Teacher | str | None = None
) -> tuple[dspy.Module, Summary]:
    """`compile_and_score`, which returns the compiled program too."""
    start = time.monotonic()
    for split, examples in task.examples.items():
        if not examples:
            raise PLDError(f"No example of {split} is left: {len(task.skipped)} were left out for a bad image.")
    train, val, test = (task.examples[split] for split in ("train", "val", "test"))
    test = examples_of(task.program, test)  # the compile does so with the others
    with dspy.context(lm=student_lm):
        compiled = teleprompter.compile(task.program, trainset=train, valset=val, teacher=teacher)
        folder, distillation = RunFolder(teleprompter.log_dir), compiled.pld
        display = teleprompter.display_progress
        runner = Runner(teleprompter.num_threads, display_progress=display, earlier=folder.state.usage)
        evaluate = Evaluator(teleprompter.metric or task.metric, runner, folder)
        before = evaluate(task.program, test, "Testing the student")
        after = evaluate(compiled, test, "Testing the compiled student")
    baseline, score = common_means([before.scores, after.scores])
    folder.status(folder.state.status, runner.usage())
    summary = Summary(
        program=task.name, data=task.source, modality=task.modality, skipped=len(task.skipped),
        n={split: len(examples) for split, examples in task.examples.items()},
        models=distillation.models, validation=distillation.validation,
        returned=distillation.returned, coverage=distillation.coverage,
        rules=sum(len(rules) for rules in distillation.in_prompt.values()),
        score=BeforeAfter(baseline=baseline, compiled=score),
        prompt_tokens=BeforeAfter(baseline=before.prompt_tokens, compiled=after.prompt_tokens),
        failures=[*distillation.failures, *grouped(runner.failures)],
        usage={role: runner.meter(role).total() for role in ("teacher", "student")} | task.usage,
        seconds=round(time.monotonic() - start, 1), log_dir=str(folder.path),
    )  # fmt: skip
    folder.write("summary.json", summary)
    return compiled, summary
