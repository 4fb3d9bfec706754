import base64
import hashlib
import io
import json
import sys
import threading
import time

import dspy
import pytest
from dspy.clients.base_lm import GLOBAL_HISTORY
from dspy.lm15 import AuthError, InvalidRequestError
from PIL import Image, ImageDraw, ImageFont
from scripted import scripted

from pld_dspy.datasets.describe import MAX_CHARACTERS, Describer, described_by, read_by_ocr
from pld_dspy.errors import PLDError
from pld_dspy.run.runner import Runner


def figure(picture: Image.Image, kind: str = "PNG") -> dspy.Image:
    file = io.BytesIO()
    picture.save(file, kind)
    return dspy.Image(file.getvalue())


def square(side: int) -> dspy.Image:
    return figure(Image.new("RGB", (side, side), "white"))


def side(image: dspy.Image) -> int:
    url = image.format()[0]["image_url"]["url"]
    return Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).width


class Painter:
    """Says how large a picture is, and remembers what it was asked."""

    def __init__(self, name: str = "painter") -> None:
        self.__name__ = name
        self.asked: list[int] = []

    def __call__(self, image: dspy.Image) -> str:
        self.asked.append(side(image))
        return f"a square\n of  {side(image)}"


def lines(path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_each_picture_is_asked_once_and_every_figure_gets_its_text(tmp_path):
    path, painter = tmp_path / "new" / "figures.jsonl", Painter()
    describe = Describer(painter, path, Runner(1))
    assert describe([square(5), square(3), square(5)]) == ["a square of 5", "a square of 3", "a square of 5"]
    assert describe([square(4), square(3)]) == ["a square of 4", "a square of 3"]
    assert painter.asked == [5, 3, 4]
    sent = hashlib.sha256(square(5).format()[0]["image_url"]["url"].encode()).hexdigest()
    assert lines(path)[0] == {"picture": sent, "by": "painter", "text": "a square of 5"}
    assert len(lines(path)) == 3


def test_a_figure_that_reads_its_picture_late_is_the_same_picture(tmp_path):
    class Late(dspy.Image):
        def format(self):
            return square(5).format()

    painter = Painter()
    texts = Describer(painter, tmp_path / "figures.jsonl", Runner(1))([Late("https://example.org/5.png"), square(5)])
    assert texts == ["a square of 5"] * 2
    assert painter.asked == [5]


def test_what_is_in_the_file_is_not_asked_again_unless_another_describes(tmp_path):
    path = tmp_path / "figures.jsonl"
    Describer(Painter(), path, Runner(1))([square(5)])
    again, other = Painter(), Painter("other")
    assert Describer(again, path, Runner(1))([square(5)]) == ["a square of 5"]
    assert again.asked == []
    Describer(other, path, Runner(1))([square(5)])
    assert other.asked == [5]
    assert [line["by"] for line in lines(path)] == ["painter", "other"]


def test_no_figures_need_no_file(tmp_path):
    assert Describer(Painter(), tmp_path / "figures.jsonl", Runner(1))([]) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("torn", [b'{"picture": "12', b"\xc3"])
def test_a_line_that_was_cut_short_is_written_again(tmp_path, torn):
    path = tmp_path / "figures.jsonl"
    Describer(Painter(), path, Runner(1))([square(2), square(3)])
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index(b"\n") + 1] + torn)
    painter = Painter()
    assert Describer(painter, path, Runner(1))([square(2), square(3)]) == ["a square of 2", "a square of 3"]
    assert painter.asked == [3]
    assert path.read_bytes() == whole[: whole.index(b"\n") + 1] + torn + b"\n" + whole[whole.index(b"\n") + 1 :]
    last = Painter()
    Describer(last, path, Runner(1))([square(2), square(3)])
    assert last.asked == []


def test_text_is_kept_on_one_line_within_its_bound(tmp_path):
    path = tmp_path / "figures.jsonl"
    describe = Describer(lambda image: "../a\x00b\n" + "\ud800" + " so" * MAX_CHARACTERS, path, Runner(1))
    [text] = describe([square(2)])
    assert text.startswith("../a\x00b ? so so")
    assert len(text) == MAX_CHARACTERS
    assert path.read_bytes().count(b"\n") == 1
    assert lines(path)[0]["text"] == text


def test_many_threads_describe_side_by_side_and_lose_nothing(tmp_path):
    running, most, lock = 0, 0, threading.Lock()

    def slow(image: dspy.Image) -> str:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.005)
        with lock:
            running -= 1
        return f"side {side(image)}"

    path = tmp_path / "figures.jsonl"
    texts = Describer(slow, path, Runner(8))([square(n % 60 + 1) for n in range(120)])
    assert texts == [f"side {n % 60 + 1}" for n in range(120)]
    assert sorted(line["text"] for line in lines(path)) == sorted(set(texts))
    assert most > 1


def look(prompt) -> dict[str, str]:
    return {"description": f"a square of {prompt.figures[0].width}"}


def test_a_vision_model_gets_the_picture_and_its_calls_are_counted(tmp_path):
    lm, runner = scripted(look), Runner(2)
    lm.cache = True  # the file takes its place
    remembered = len(GLOBAL_HISTORY)
    describe = Describer(described_by(lm), tmp_path / "figures.jsonl", runner)
    assert describe([square(6), square(7)]) == ["a square of 6", "a square of 7"]
    assert sorted(picture.width for prompt in lm.engine.prompts for picture in prompt.figures) == [6, 7]
    assert all("cannot see it" in prompt.system for prompt in lm.engine.prompts)
    assert all(prompt.outputs == ["description"] for prompt in lm.engine.prompts)
    assert {line["by"] for line in lines(tmp_path / "figures.jsonl")} == {"scripted"}
    assert (runner.meter("describer").total().calls, runner.meter("student").total().calls) == (2, 0)
    Describer(described_by(lm), tmp_path / "elsewhere.jsonl", Runner(1))([square(6)])
    assert len(lm.engine.prompts) == 3
    assert len(GLOBAL_HISTORY) == remembered, "DSPy keeps the pictures in memory"


@pytest.mark.parametrize("failure", [InvalidRequestError("refused"), {"description": " \n"}, "no field at all"])
def test_a_failure_names_its_count_and_the_same_call_goes_on(tmp_path, failure):
    failing, bad = True, (4,) if isinstance(failure, Exception) else (3, 4)

    def script(prompt):
        if failing and prompt.figures[0].width in bad:
            if isinstance(failure, Exception):
                raise failure
            return failure
        return look(prompt)

    lm, path, sides = scripted(script), tmp_path / "figures.jsonl", (2, 3, 4, 5)
    figures = [square(n) for n in sides]
    with pytest.raises(
        PLDError, match=rf"{len(bad)} of 4 figures .*scripted.*(refused|empty|no field at all).*figures\.jsonl"
    ):
        Describer(described_by(lm), path, Runner(1))(figures)
    assert [line["text"] for line in lines(path)] == [f"a square of {n}" for n in sides if n not in bad]
    failing = False
    lm.engine.prompts.clear()
    assert Describer(described_by(lm), path, Runner(1))(figures) == [f"a square of {n}" for n in sides]
    assert [prompt.figures[0].width for prompt in lm.engine.prompts] == [*bad]


def test_a_model_that_does_not_answer_is_not_asked_on(tmp_path):
    def script(prompt):
        if prompt.figures[0].width > 2:
            raise AuthError("bad key")
        return look(prompt)

    lm, path = scripted(script), tmp_path / "figures.jsonl"
    with pytest.raises(PLDError, match=r"The model scripted does not answer: .*bad key"):
        Describer(described_by(lm), path, Runner(1))([square(n) for n in (2, 3, 4, 5)])
    assert len(lm.engine.prompts) == 3, "one refusal might be a slip"
    assert [line["text"] for line in lines(path)] == ["a square of 2"]


def test_a_spent_budget_leaves_the_rest_for_the_next_time(tmp_path):
    lm, path = scripted(look), tmp_path / "figures.jsonl"
    with pytest.raises(PLDError, match=r"1 of 3 figures .*the budget is spent"):
        Describer(described_by(lm), path, Runner(1, max_lm_calls=2))([square(n) for n in (2, 3, 4)])
    assert len(Describer(described_by(lm), path, Runner(1, max_lm_calls=2))([square(n) for n in (2, 3, 4)])) == 3
    assert len(lm.engine.prompts) == 3


def drawing(mode: str = "RGB", background: object = "white") -> Image.Image:
    picture = Image.new(mode, (420, 160), background)
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(26)
    draw.text((250, 101), "mass 40 g", fill="black", font=font)
    draw.text((20, 100), "mass 20 g", fill="black", font=font)
    draw.text((20, 20), "Figure 3", fill="black", font=font)
    return picture


def test_ocr_reads_pictures_of_every_kind_offline_from_many_threads(tmp_path, monkeypatch):
    pytest.importorskip("rapidocr")
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("OCR asked the network"))
    kinds = [
        figure(drawing()),
        figure(drawing().quantize(8)),
        figure(drawing("RGBA", (0, 0, 0, 0))),
        figure(drawing("L"), "JPEG"),
    ]
    texts = Describer(read_by_ocr(), tmp_path / "figures.jsonl", Runner(4))([*kinds, square(40)])
    assert texts[:4] == ["Text in the picture: Figure 3; mass 20 g; mass 40 g"] * 4
    assert texts[4] == "No text in the picture."
    assert {line["by"] for line in lines(tmp_path / "figures.jsonl")} == {"ocr"}


def test_a_picture_that_ocr_cannot_read_leaves_the_others(tmp_path):
    pytest.importorskip("rapidocr")
    broken = dspy.Image("data:image/png;base64," + base64.b64encode(b"no picture").decode())
    with pytest.raises(PLDError, match=r"1 of 2 figures .*by ocr; the first: the picture cannot be read"):
        Describer(read_by_ocr(), tmp_path / "figures.jsonl", Runner(1))([broken, square(40)])
    assert [line["text"] for line in lines(tmp_path / "figures.jsonl")] == ["No text in the picture."]


@pytest.mark.parametrize("package", ["rapidocr", "onnxruntime"])
def test_a_missing_package_is_named(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(PLDError, match=r"install pld-dspy\[ocr\]"):
        read_by_ocr()
