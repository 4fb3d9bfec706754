import math
import shutil
import statistics
import sys
from functools import partial

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pld_dspy.errors import PLDError
from pld_dspy.metrics import TextMeasure, bertscore, bertscore_by, cider, measure, meteor, rouge_l

pytest.importorskip("pycocoevalcap", reason="the packages of pld-dspy[spiqa] are not installed")
needs_java = pytest.mark.skipif(shutil.which("java") is None, reason="no Java runtime on the PATH")


def rouge(candidate, reference):
    return rouge_l([candidate], [reference]).examples[0]


@needs_java
@pytest.mark.parametrize(
    ("candidate", "reference", "score"),
    [
        ("The cat sat.", "the cat sat", 1.0),
        ("the cat", "the cat sat on the mat", 2.44 * (1 / 3) / (1 / 3 + 1.44)),  # precision 1, recall 1/3, beta 1.2
        ("the mat lay on the cat", "the cat sat", 2.44 * (2 / 6) * (2 / 3) / (2 / 3 + 1.44 * (2 / 6))),
        ("a dog", "the cat", 0.0),
        ("", "the cat", 0.0),
    ],
)
def test_rouge_l_by_hand(candidate, reference, score):
    assert rouge(candidate, reference) == pytest.approx(score)


@needs_java
def test_cider_by_hand():
    # Two gold answers that share no word: all words weigh ln 2, which cancels. Of "red fox runs fast" the answer has
    # two of four words (cosine 2 / (√2 √4)) and one of three bigrams (1 / √3), and lacks two bigrams (e^(-2²/(2·6²))).
    candidates, references = ["red fox", "one small blue bird"], ["red fox runs fast", "one small blue bird"]
    by_hand = 10 * (1 / math.sqrt(2) + 1 / math.sqrt(3)) / 4 * math.exp(-4 / 72)
    assert cider(candidates, references) == (pytest.approx([by_hand, 10.0]), None)
    assert cider(candidates[1:], references[1:]) == ([0.0], None)
    assert cider(["a"], ["..."]) == ([0.0], None)


PAIRS = [
    ("The proposed model improves accuracy by 3.5%.", "The proposed model improves accuracy by 3.5%."),
    ("It was raised in the U.S.", "It rises, e.g. in the U.S. and naïve Bayes (漢字)."),
    ('No "gain" 😀 at all', "a gain"),
    ("|||", "Table 2"),
    ("", "It doesn't converge."),
    ("Accuracy, recall and F1 are increasing", "F1, recall and accuracies increase"),
]


@needs_java
def test_scores_are_those_of_the_coco_evaluation_in_any_order(capfd):
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.meteor.meteor import Meteor
    from pycocoevalcap.rouge.rouge import Rouge
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    official = {"meteor": Meteor(), "rouge_l": Rouge(), "cider": Cider()}  # METEOR's slow start runs beside ours
    candidates, references = zip(*PAIRS, strict=True)
    ours = {
        "meteor": meteor(candidates, references),
        "rouge_l": rouge_l(candidates, references),
        "cider": cider(candidates, references),
    }
    assert capfd.readouterr() == ("", "")
    backwards = {
        side: PTBTokenizer().tokenize({n: [{"caption": PAIRS[n][side]}] for n in reversed(range(len(PAIRS)))})
        for side in (0, 1)
    }
    for name, scorer in official.items():
        corpus, examples = scorer.compute_score(backwards[1], backwards[0])
        scores, overall = ours[name]
        assert scores == pytest.approx(list(examples)[::-1])
        assert (statistics.fmean(scores) if overall is None else overall) == pytest.approx(corpus)
    assert ours["meteor"].examples[0] == 1.0
    assert 0 < ours["meteor"].examples[5] < 1  # stems and synonyms
    assert ours["meteor"].overall != pytest.approx(statistics.fmean(ours["meteor"].examples))


odd = st.text(st.one_of(st.sampled_from("\n\r\x0b\x0c\x1c\x85\u2028\u2029\t\0\"'`<>&|.-("), st.characters()))


@needs_java
@settings(max_examples=6)
@given(st.lists(odd, min_size=40, max_size=80))
@example(["\n", "a\nb", "\r\n\r", "\u2028", "", " ", "\ud800\n", "<a\n", "*NL*", "word " * 20_000, "é" * 20_000])
def test_no_text_shifts_the_lines_of_others(texts):
    answers = [answer for text in texts for answer in (text, "alpha beta gamma")]
    scores = rouge_l(answers, ["alpha beta gamma"] * len(answers)).examples
    assert len(scores) == len(answers)
    assert set(scores[1::2]) == {1.0}


@needs_java
def test_a_line_break_counts_as_a_space():
    assert rouge("the\ncat\u2028sat\r\n", "the cat sat") == 1.0


@pytest.mark.parametrize("compare", [rouge_l, meteor, cider, partial(bertscore, encoder="bert-base-uncased")])
def test_texts_that_do_not_pair_up(compare):
    for candidates, references in ((["a"], ["a", "b"]), ([], [])):
        with pytest.raises(PLDError, match="do not pair up"):
            compare(candidates, references)


def test_measures_have_names_and_headings():
    assert measure("rouge_l") == TextMeasure("ROUGE-L", rouge_l)
    assert measure("meteor") == TextMeasure("METEOR", meteor)
    assert measure("cider") == TextMeasure("CIDEr", cider)
    assert bertscore_by("encoder").heading == "BERTScore"
    with pytest.raises(PLDError, match="no measure 'bleu'; there are: rouge_l, meteor, cider"):
        measure("bleu")


@pytest.mark.parametrize("compare", [rouge_l, meteor, cider])
def test_a_missing_java_is_said(monkeypatch, tmp_path, compare):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PLDError, match="Java runtime"):
        compare(["a"], ["a"])


@pytest.mark.parametrize(
    ("package", "compare"),
    [
        *(("pycocoevalcap", compare) for compare in (rouge_l, meteor, cider)),
        ("bert_score", partial(bertscore, encoder="bert-base-uncased")),
    ],
)
def test_a_missing_package_is_said(monkeypatch, package, compare):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(PLDError, match=r"pld-dspy\[spiqa\]"):
        compare(["a"], ["a"])


@pytest.mark.parametrize(("program", "says"), [("echo broken >&2; exit 3", "broken"), ("cat", "METEOR")])
def test_a_java_program_that_fails(monkeypatch, tmp_path, program, says):
    java = tmp_path / "java"
    java.write_text(f'#!/bin/sh\ncase "$*" in *meteor*) exit 3;; *) {program};; esac\n')
    java.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(PLDError, match=says):
        meteor(["a b", "c"], ["a", "b"])


@pytest.fixture
def encoder(tmp_path):
    """A folder with a very small BERT that knows a few words."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizer

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "dog", "sat", "ran", "on", "mat"]
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=32,
    )
    BertModel(config).save_pretrained(tmp_path)
    vocabulary = {word: number for number, word in enumerate(words)}
    BertTokenizer(vocab=vocabulary, model_max_length=32).save_pretrained(tmp_path)
    return str(tmp_path)


def test_bertscore(encoder, capfd):
    candidates = ["the cat sat", "the dog ran", "", "\u200b", "the cat " * 500]
    references = ["The cat\nsat", "the cat sat", "the cat", "the cat", "the cat"]
    capfd.readouterr()
    examples, overall = bertscore(candidates, references, encoder)
    assert capfd.readouterr() == ("", "")
    assert examples[0] == pytest.approx(1, abs=1e-5)
    assert 0 < examples[1] < 0.99
    assert examples[2:4] == [0, 0]
    assert 0 < examples[4] < 0.99
    assert overall is None
    assert bertscore([""], ["a"], encoder) == ([0.0], None)


def test_an_encoder_that_cannot_be_loaded(tmp_path):
    with pytest.raises(PLDError, match="BERTScore cannot use the encoder"):
        bertscore(["a"], ["a"], str(tmp_path))
