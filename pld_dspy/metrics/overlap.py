"""Words that answers share with gold answers: ROUGE-L, METEOR, CIDEr and BERTScore, as SPIQA's authors compute them.

The tokenizer and the first three are those of the COCO evaluation (pycocoevalcap), as in SPIQA's code (Pramanick et
al., NeurIPS 2024, arXiv:2407.09413). Each function takes the answers ("" where there is none) and as many gold answers,
and raises a PLDError where they do not pair up, or packages, Java or the encoder are missing or fail.
"""

import contextlib
import functools
import io
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pld_dspy.errors import PLDError, brief
from pld_dspy.metrics.measures import MeasureScores

_MISSING = "The overlap scores need packages that are not installed: pip install 'pld-dspy[spiqa]'."


def rouge_l(candidates: Sequence[str], references: Sequence[str]) -> MeasureScores:
    """ROUGE-L with β = 1.2, fractions."""
    answers, gold = _tokenized(candidates, references)
    from pycocoevalcap.rouge.rouge import Rouge

    return _coco_scores(Rouge(), answers, gold)


def cider(candidates: Sequence[str], references: Sequence[str]) -> MeasureScores:
    """CIDEr, from 0 to 10.

    It weighs words by how few gold answers of the whole set have them: a score depends on the set, and in a set of one
    it is 0.
    """
    answers, gold = _tokenized(candidates, references)
    from pycocoevalcap.cider.cider import Cider

    if not any(gold):  # which it cannot count
        return MeasureScores([0.0] * len(gold))
    return _coco_scores(Cider(), answers, gold)


def meteor(candidates: Sequence[str], references: Sequence[str]) -> MeasureScores:
    """METEOR 1.5, fractions; the overall score is computed from the counts of all examples."""
    with tempfile.TemporaryDirectory() as folder:
        files = [str(Path(folder, name)) for name in ("answers", "gold")]
        for file, texts in zip(files, _tokenized(candidates, references), strict=True):
            lines = (text.replace("|||", "") for text in texts)  # as in the COCO evaluation
            Path(file).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        done = _java("meteor", "-Xmx2G", "-jar", "meteor-1.5.jar", *files, "-l", "en", "-norm")
    *scores, overall = [float(score) for score in re.findall(r"score:\s+(\S+)", done.stdout.decode())] or [0.0]
    if len(scores) != len(candidates):
        raise PLDError("METEOR, a Java program, ended without scores; it may take 2 GB of memory.")
    return MeasureScores(scores, overall)


def bertscore(candidates: Sequence[str], references: Sequence[str], encoder: str) -> MeasureScores:
    """BERTScore's F1 without rescaling, fractions; 0 for empty texts.

    Args:
        candidates: the answers.
        references: the gold answers, one for each.
        encoder: a name on the Hugging Face hub or a folder. SPIQA's is "bert-base-uncased". The layer is the one that
            bert_score has for models of this name, or of the folder's, and the last one where it has none.
    """
    pairs = list(zip(*_lines(candidates, references), strict=True))
    try:
        from bert_score import BERTScorer
        from bert_score.utils import model2layers
        from transformers import AutoConfig, logging
    except ImportError as error:
        raise PLDError(_MISSING) from error
    whole = [pair for pair in pairs if all(pair)]  # bert_score fails on empty texts with recent tokenizers
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            layers = model2layers.get(encoder) or model2layers.get(Path(encoder).name)
            scorer = BERTScorer(encoder, num_layers=layers or AutoConfig.from_pretrained(encoder).num_hidden_layers)
            f1 = iter(scorer.score(*map(list, zip(*whole, strict=True)))[-1].tolist() if whole else [])
    except Exception as error:  # what the libraries raise for a model that they cannot load or use has no common type
        raise PLDError(f"BERTScore cannot use the encoder {encoder!r}: {brief(error)}") from error
    finally:
        logging.set_verbosity(verbosity)
    return MeasureScores([next(f1) if all(pair) else 0.0 for pair in pairs])


def _lines(candidates: Sequence[str], references: Sequence[str]) -> list[list[str]]:
    """Texts without line breaks, which would shift the tokenizer's lines, and without what UTF-8 cannot hold."""
    if not candidates or len(candidates) != len(references):
        raise PLDError(f"{len(candidates)} answers and {len(references)} gold answers do not pair up.")
    both = (candidates, references)
    return [[" ".join(text.encode("utf-8", "replace").decode().split()) for text in texts] for texts in both]


def _coco_scores(scorer: Any, answers: list[str], gold: list[str]) -> MeasureScores:
    keyed = [{number: [text] for number, text in enumerate(texts)} for texts in (gold, answers)]
    _, scores = scorer.compute_score(*keyed)
    return MeasureScores([float(score) for score in scores])


def _tokenized(candidates: Sequence[str], references: Sequence[str]) -> tuple[list[str], list[str]]:
    """Texts as Penn Treebank tokens in lower case, without punctuation, between single spaces."""
    answers, gold = _lines(candidates, references)
    _package()  # also where the tokens are known
    tokens = _tokens((*answers, *gold))
    return tokens[: len(answers)], tokens[len(answers) :]


@functools.lru_cache(maxsize=2)  # the measures of an evaluation share their texts, and Java takes long to start
def _tokens(lines: tuple[str, ...]) -> list[str]:
    from pycocoevalcap.tokenizer.ptbtokenizer import PUNCTUATIONS, STANFORD_CORENLP_3_4_1_JAR

    program = ("-cp", STANFORD_CORENLP_3_4_1_JAR, "edu.stanford.nlp.process.PTBTokenizer")
    done = _java("tokenizer", *program, "-preserveLines", "-lowerCase", text="\n".join(lines))
    tokens = done.stdout.decode().split("\n")
    if done.returncode != 0 or len(tokens) != len(lines):
        raise PLDError(f"The Java tokenizer failed: {done.stderr.decode(errors='replace')[-200:].strip()}")
    return [" ".join(word for word in line.rstrip().split(" ") if word not in PUNCTUATIONS) for line in tokens]


def _java(folder: str, *arguments: str, text: str = "") -> subprocess.CompletedProcess[bytes]:
    """Run a Java program in a folder of pycocoevalcap.

    The package's own classes let the tokenizer write to the terminal and into the installed package, talk in the
    locale's encoding, and hang where METEOR stops.
    """
    command = ["java", "-Dfile.encoding=UTF-8", *arguments]
    return subprocess.run(command, cwd=_package() / folder, input=text.encode(), capture_output=True, check=False)


def _package() -> Path:
    try:
        import pycocoevalcap
    except ImportError as error:
        raise PLDError(_MISSING) from error
    if shutil.which("java") is None:
        raise PLDError("ROUGE-L, METEOR and CIDEr need a Java runtime, and there is no program 'java' on the PATH.")
    return Path(next(iter(pycocoevalcap.__path__)))
