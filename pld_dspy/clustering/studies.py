"""Optuna studies that can be stored, shared and taken up again."""

import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random

from pld_dspy.errors import PLDError, brief
from pld_dspy.progress import progress_bar

if TYPE_CHECKING:
    import optuna

    Storage = str | Path | optuna.storages.BaseStorage | None


def opened(storage: "Storage") -> "optuna.storages.BaseStorage":
    """Open an Optuna storage, a URL of one, the path of a journal file or None (memory); PLDError if it cannot be."""
    import optuna
    from optuna.storages.journal import JournalFileBackend, JournalStorage

    if not isinstance(storage, str | Path | optuna.storages.BaseStorage | None):
        raise PLDError(f"The storage is an Optuna storage, its URL or the path of a journal file, not {storage!r}.")
    try:
        if isinstance(storage, Path) or (isinstance(storage, str) and "://" not in storage):
            return JournalStorage(JournalFileBackend(str(storage)))
        return _retrying()(optuna.storages.get_storage, storage)
    except Exception as error:  # each storage has errors of its own
        raise PLDError(_unusable(storage, error)) from error


def open_study(storage: "Storage", study_name: str | None, subject: Mapping[str, Any]) -> "optuna.Study":
    """Create a study that maximises, or load it if the storage has it; `opened` says what a storage is.

    Its name is by default made from the subject, which is kept in its attributes. Raises PLDError where the storage
    cannot be used, or holds a study of that name about something else.
    """
    import optuna

    about = {name: str(value) for name, value in subject.items()}
    place = opened(storage)
    try:
        with quiet():
            study = _retrying()(
                optuna.create_study,
                storage=place,
                study_name=study_name or (None if storage is None else "pld-" + "-".join(about.values())),
                direction="maximize",
                pruner=optuna.pruners.MedianPruner(n_startup_trials=10),
                load_if_exists=True,
            )
        started = bool(study.get_trials(deepcopy=False))  # before its attributes are read: they come first
        earlier = study.user_attrs
        for name, value in about.items():
            if name not in earlier and not started:
                study.set_user_attr(name, value)
        aims = [direction.name for direction in study.directions]
    except Exception as error:
        raise PLDError(_unusable(storage, error)) from error
    changed = [name for name, value in about.items() if earlier.get(name, None if started else value) != value]
    changed += [] if aims == ["MAXIMIZE"] else ["directions"]
    if changed:
        raise PLDError(f"The study {study.study_name} is about other {', '.join(changed)}: give another study_name.")
    return study


def run_trials(
    study: "optuna.Study",
    objective: "Callable[[optuna.Trial], float]",
    n_trials: int,
    seed: int,
    starts: Sequence[dict[str, Any]] = (),
    display_progress: bool = False,
) -> None:
    """Run trials until the study has as many, other processes' and earlier ones included; first those with `starts`.

    What a trial draws depends on the seed, its number and the trials before it, those that were interrupted not
    counted. So a study that was stopped ends as it would have without the stop, and processes that share one try
    different settings. A trial whose process was killed keeps its place, and what is under way elsewhere when the last
    trial ends comes on top.
    """
    import optuna
    from optuna.trial import TrialState

    def seeded(trial: "optuna.Trial") -> float:
        interrupted = [other.number for other in study.get_trials(deepcopy=False, states=(TrialState.FAIL,))]
        place = trial.number - sum(number < trial.number for number in interrupted)
        sampler = optuna.samplers.TPESampler(seed=(int(seed) * 1_000_003 + place) % 2**32)
        first = starts[place] if place < len(starts) else {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            # Not Optuna's queue of parameters to try, from which two processes may take the same trial.
            study.sampler = optuna.samplers.PartialFixedSampler(first, sampler)
        return objective(trial)

    ended = (TrialState.COMPLETE, TrialState.PRUNED)
    with progress_bar(display_progress) as progress:
        bar = progress.add_task("Searching clusters", total=n_trials)
        while (done := len(study.get_trials(deepcopy=False, states=ended))) < n_trials:
            progress.update(bar, completed=done)
            with quiet():
                study.optimize(seeded, n_trials=1)
        progress.update(bar, completed=n_trials)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Optuna from writing about each trial; an error reaches the caller anyway."""
    import optuna

    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(verbosity)


def _retrying() -> Retrying:
    """Processes that open a new database at once all make its tables; those that come second fail, then find them."""
    made = retry_if_exception(lambda error: re.search("already exists|IntegrityError", repr(error)) is not None)
    return Retrying(retry=made, wait=wait_random(0.1, 0.3), stop=stop_after_attempt(10), reraise=True)


def _unusable(storage: "Storage", error: Exception) -> str:
    reason = f"{type(error).__name__}: {error}"
    for secret in re.findall(r"\w:([^/@]+)", storage) if isinstance(storage, str) and "://" in storage else []:
        reason = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", "***", reason)  # a password, or a port
    return f"The storage of the Optuna study cannot be used ({brief(reason)})."
