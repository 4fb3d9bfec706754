"""Benchmarks on the Hugging Face hub, through `datasets`."""

import hashlib
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pld_dspy.datasets.files import made_once
from pld_dspy.errors import PLDError

if TYPE_CHECKING:
    import datasets


class Hub(NamedTuple):
    """A dataset repository: a name on the hub, a folder that is a copy of one, or "" for the official one."""

    repository: str


def open_rows(repository: str, split: str, picture: str) -> "datasets.Dataset":
    """Open a split of a dataset repository, which is a name or a folder; its rows stay on disk until they are read.

    Those of the column `picture` come as their files' bytes. Raises PLDError where the split cannot be opened.
    """
    import datasets

    try:
        rows = datasets.load_dataset(repository, split=split)
        return rows.cast_column(picture, datasets.Image(decode=False))
    except Exception as error:  # of many libraries: network, hub, file formats
        raise PLDError(f"The split {split} of {repository} cannot be opened: {_reason(error)}") from error


def fetch(repository: str, path: str) -> Path:
    """A file of a dataset repository, from the hub's cache where it is there; of a zip archive, the folder in it.

    Raises PLDError where it cannot be had, or is no archive.
    """
    from huggingface_hub import hf_hub_download  # what `datasets` downloads with, but finds its cache when offline

    try:
        if Path(repository).is_dir():
            local = Path(repository, path)
            local.stat()  # raises where there is none
        else:
            local = Path(hf_hub_download(repository, path, repo_type="dataset"))
        return _extracted(local) if path.endswith(".zip") else local
    except Exception as error:  # of many libraries: network, hub, file formats
        raise PLDError(f"The file {path} of {repository} cannot be had: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    first = (str(error) or type(error).__name__).splitlines()[0].rstrip(" .")
    return f"{first}. Check the name and the connection, or download the benchmark and give its folder."


def _extracted(archive: Path) -> Path:
    """What is in a zip archive, in the cache of `datasets`.

    Its own extractor would take the remains of an extraction that was interrupted for the whole.
    """
    import datasets

    stat = archive.stat()
    key = hashlib.sha256(f"{archive.resolve()} {stat.st_size} {stat.st_mtime_ns}".encode()).hexdigest()[:32]

    def extract(folder: Path) -> None:
        with zipfile.ZipFile(archive) as members:
            members.extractall(folder)  # leaves out what leads out of a folder: "..", drives, links

    return made_once(Path(datasets.config.EXTRACTED_DATASETS_PATH) / key, extract)
