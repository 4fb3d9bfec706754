"""Words that answers share with gold answers: ROUGE-L, METEOR, CIDEr and BERTScore, as SPIQA's authors compute them."""

import contextlib
import io
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pld_dspy.errors import PLDError, brief

MEASURES = ("rouge_l", "meteor", "cider")
_MISSING = "The overlap scores need packages that are not installed: pip install 'pld-dspy[spiqa]'."


class OverlapScore(NamedTuple):
    """One measure."""

    corpus: float  # of the whole set
    examples: list[float]  # of each example, in their order


def overlap_scores(
    candidates: Sequence[str],
    references: Sequence[str],
    *,
    measures: Sequence[str] = MEASURES,
    bertscore_model: str | None = None,
) -> dict[str, OverlapScore]:
    """Compare answers with gold answers as the SPIQA benchmark does (Pramanick et al., NeurIPS 2024, arXiv:2407.09413).

    The tokenizer, ROUGE-L (β = 1.2), METEOR 1.5 and CIDEr are those of the COCO evaluation (pycocoevalcap). All scores
    are fractions but CIDEr, which goes up to 10. The corpus score is the mean over the examples, but METEOR's, which is
    computed from the counts of all of them. CIDEr weighs words by how few gold answers of the whole set have them: an
    example's score depends on the set, and in a set of one it is 0.

    Args:
        candidates: the answers; "" where there is none.
        references: the gold answers, one for each.
        measures: of "rouge_l", "meteor" and "cider".
        bertscore_model: adds "bertscore", BERTScore's F1 without rescaling, by this encoder: a name on the Hugging Face
            hub or a folder. SPIQA's is "bert-base-uncased". The layer is the one that bert_score has for models of this
            name, or of the folder's, and the last one where it has none. Empty texts score 0.

    Returns:
        The scores by measure.

    Raises:
        PLDError: the texts do not pair up, a measure is unknown, packages or a Java runtime are missing, or the encoder
            cannot be used.
    """
    if not candidates or len(candidates) != len(references):
        raise PLDError(f"{len(candidates)} answers and {len(references)} gold answers do not pair up.")
    if unknown := set(measures) - set(MEASURES):
        raise PLDError(f"There is no overlap measure {', '.join(sorted(unknown))}; there are {', '.join(MEASURES)}.")
    candidates, references = [_one_line(text) for text in candidates], [_one_line(text) for text in references]
    scores = _caption_scores(candidates, references, measures) if measures else {}
    if bertscore_model is not None:
        scores["bertscore"] = _bertscore(bertscore_model, candidates, references)
    return scores


def _one_line(text: str) -> str:
    """Without line breaks, which would shift the tokenizer's lines, and without what UTF-8 cannot hold."""
    return " ".join(text.encode("utf-8", "replace").decode("utf-8").split())


def _caption_scores(candidates: list[str], references: list[str], measures: Sequence[str]) -> dict[str, OverlapScore]:
    try:
        import pycocoevalcap
        from pycocoevalcap.cider.cider import Cider
        from pycocoevalcap.rouge.rouge import Rouge
    except ImportError as error:
        raise PLDError(_MISSING) from error
    if shutil.which("java") is None:
        raise PLDError("ROUGE-L, METEOR and CIDEr need a Java runtime, and there is no program 'java' on the PATH.")
    package = Path(next(iter(pycocoevalcap.__path__)))
    candidates, references = (_tokenize(package / "tokenizer", texts) for texts in (candidates, references))

    def score(measure: str) -> OverlapScore:
        if measure == "meteor":
            return _meteor(package / "meteor", candidates, references)
        if measure == "cider" and not any(references):  # which it cannot count
            return OverlapScore(0.0, [0.0] * len(references))
        keyed = [{number: [text] for number, text in enumerate(texts)} for texts in (references, candidates)]
        corpus, examples = (Rouge() if measure == "rouge_l" else Cider()).compute_score(*keyed)
        return OverlapScore(float(corpus), [float(example) for example in examples])

    return {measure: score(measure) for measure in measures}


# The two Java programs are run from here, since pycocoevalcap's own classes for them let the tokenizer write to the
# terminal and into the installed package, talk in the locale's encoding, and hang where METEOR stops.


def _tokenize(folder: Path, texts: list[str]) -> list[str]:
    """The Penn Treebank tokens of texts of one line each, in lower case, without punctuation, between single spaces."""
    from pycocoevalcap.tokenizer.ptbtokenizer import PUNCTUATIONS, STANFORD_CORENLP_3_4_1_JAR

    command = ["java", "-Dfile.encoding=UTF-8", "-cp", STANFORD_CORENLP_3_4_1_JAR]
    done = subprocess.run(
        [*command, "edu.stanford.nlp.process.PTBTokenizer", "-preserveLines", "-lowerCase"],
        cwd=folder,
        input="\n".join(texts).encode(),
        capture_output=True,
        check=False,
    )
    lines = done.stdout.decode().split("\n")
    if done.returncode != 0 or len(lines) != len(texts):
        raise PLDError(f"The Java tokenizer failed: {done.stderr.decode(errors='replace')[-200:].strip()}")
    return [" ".join(word for word in line.rstrip().split(" ") if word not in PUNCTUATIONS) for line in lines]


def _meteor(folder: Path, candidates: list[str], references: list[str]) -> OverlapScore:
    command = ["java", "-Dfile.encoding=UTF-8", "-Xmx2G", "-jar", "meteor-1.5.jar"]
    try:
        with subprocess.Popen(
            [*command, "-", "-", "-stdio", "-l", "en", "-norm"],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
        ) as meteor:
            assert meteor.stdin is not None
            assert meteor.stdout is not None
            try:
                counts = []
                for texts in zip(references, candidates, strict=True):
                    meteor.stdin.write(" ||| ".join(("SCORE", *(text.replace("|||", "") for text in texts))) + "\n")
                    meteor.stdin.flush()
                    counts.append(meteor.stdout.readline().strip())
                meteor.stdin.write(" ||| ".join(("EVAL", *counts)) + "\n")
                meteor.stdin.flush()
                *examples, corpus = [float(meteor.stdout.readline()) for _ in range(len(counts) + 1)]
            finally:
                meteor.kill()
    except (OSError, ValueError) as error:
        raise PLDError("METEOR, a Java program, ended without scores; it may take 2 GB of memory.") from error
    return OverlapScore(corpus, examples)


def _bertscore(model: str, candidates: list[str], references: list[str]) -> OverlapScore:
    try:
        from bert_score import BERTScorer
        from bert_score.utils import model2layers
        from transformers import AutoConfig, logging
    except ImportError as error:
        raise PLDError(_MISSING) from error
    scored = [number for number, pair in enumerate(zip(candidates, references, strict=True)) if all(pair)]
    examples = [0.0] * len(candidates)
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            layers = model2layers.get(model) or model2layers.get(Path(model).name)
            scorer = BERTScorer(model, num_layers=layers or AutoConfig.from_pretrained(model).num_hidden_layers)
            if scored:  # bert_score fails on empty texts with recent tokenizers; before, it gave them 0
                *_, f1 = scorer.score(
                    [candidates[number] for number in scored], [references[number] for number in scored]
                )
                for number, score in zip(scored, f1.tolist(), strict=True):
                    examples[number] = score
    except Exception as error:  # what the libraries raise for a model that they cannot load or use has no common type
        raise PLDError(f"BERTScore cannot use the encoder {model!r}: {brief(error)}") from error
    finally:
        logging.set_verbosity(verbosity)
    return OverlapScore(sum(examples) / len(examples), examples)
