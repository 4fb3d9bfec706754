import base64
import copy
import io
import os
import pickle
import struct
import zlib

import dspy
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from pld_dspy import pictures
from pld_dspy.datasets.images import BadImage, Figure, File, faults, figures_of
from pld_dspy.datasets.sample import write_sample
from pld_dspy.pictures import encode


def saved(picture, kind="PNG", **options):
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def sent(content, **options):
    """What a model gets of a picture's file: its kind, and the picture."""
    head, data = encode(content, **options).split(",")
    kind = head.removeprefix("data:image/").removesuffix(";base64")
    return kind, Image.open(io.BytesIO(base64.b64decode(data)))


def drawing(size=(400, 300)):
    picture = Image.new("RGB", size, "white")
    ImageDraw.Draw(picture).rectangle((20, 20, 90, 60), fill="red")
    return picture


def photograph(size=(400, 300)):
    return Image.effect_noise(size, 80).convert("RGB")


def figure(path, content=None, **options):
    if content is not None:
        path.write_bytes(content)
    return Figure(File(path), example="7", **options)


def test_a_figure_is_read_when_a_prompt_is_made_and_only_once(tmp_path, monkeypatch):
    reads = []
    monkeypatch.setattr(File, "read", lambda self: reads.append(self.path) or self.path.read_bytes())
    lazy = figure(tmp_path / "a.png", saved(drawing()))
    dspy.Example(image=lazy).with_inputs("image").copy()
    assert (reads, repr(lazy)) == ([], f"Figure('{tmp_path / 'a.png'}')")
    messages = dspy.ChatAdapter().format(dspy.Signature("image: dspy.Image -> answer"), [], {"image": lazy})
    (part,) = [part for part in messages[-1]["content"] if part["type"] == "image_url"]
    assert part == lazy.format()[0]
    seen = Image.open(io.BytesIO(base64.b64decode(part["image_url"]["url"].split(",")[1])))
    assert seen.tobytes() == drawing().tobytes()
    assert len(reads) == 1


def test_copies_and_pickles_are_the_same_figure(tmp_path):
    lazy = figure(tmp_path / "a.png", saved(drawing()))
    for same in (copy.deepcopy(lazy), pickle.loads(pickle.dumps(lazy))):
        assert same == lazy
        assert same.format() == lazy.format()
        assert same.example == "7"


@pytest.mark.parametrize(("longest_side", "size"), [(1024, (1024, 512)), (100, (100, 50)), (None, (3000, 1500))])
def test_large_pictures_are_downscaled_to_the_longest_side(longest_side, size):
    content = saved(drawing((3000, 1500)))
    assert sent(content, longest_side=longest_side)[1].size == size
    assert sent(saved(drawing((40, 30))))[1].size == (40, 30)


def test_the_longest_side_of_a_figure_counts(tmp_path):
    url = figure(tmp_path / "a.png", saved(drawing()), longest_side=64).format()[0]["image_url"]["url"]
    assert max(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))).size) == 64


def test_the_smallest_encoding_is_taken():
    kind, picture = sent(saved(drawing()))
    assert (kind, picture.tobytes()) == ("png", drawing().tobytes())
    kind, picture = sent(saved(photograph()))
    assert kind == "jpeg"
    assert len(encode(saved(photograph()))) < len(saved(photograph()))
    bmp = saved(drawing(), "BMP")
    assert sent(bmp)[0] == "png"


def test_a_jpeg_is_not_encoded_twice():
    content = saved(photograph(), "JPEG", quality=95)
    assert base64.b64decode(encode(content).split(",")[1]) == content


def test_pictures_are_turned_upright():
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate a quarter to the right
    left = drawing((400, 300))
    _, picture = sent(saved(left, "JPEG", exif=exif, quality=95))
    assert picture.size == (300, 400)
    assert picture.getpixel((260, 50))[0] > 200 > 100 > picture.getpixel((260, 50))[1]  # the red corner has moved
    assert picture.getexif().get(0x0112, 1) == 1


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_pictures_are_put_on_white(mode):
    ink = Image.new("RGBA", (60, 40), (0, 0, 0, 0))
    ImageDraw.Draw(ink).line((0, 20, 60, 20), fill=(0, 0, 0, 255), width=4)
    picture = sent(saved(ink.convert(mode)))[1].convert("RGB")
    assert picture.getpixel((5, 5)) == (255, 255, 255)
    assert picture.getpixel((30, 20)) == (0, 0, 0)


@pytest.mark.parametrize("mode", ["1", "L", "I;16", "CMYK", "P"])
def test_every_kind_of_pixels_can_be_sent(mode):
    picture = Image.new(mode, (30, 20)) if mode == "I;16" else drawing((30, 20)).convert(mode)
    assert sent(saved(picture, "TIFF"))[1].size == (30, 20)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_pictures_of_sixteen_bits_keep_their_shades(kind):
    ramp = np.tile(np.linspace(0, 65535, 200), (20, 1)).astype(np.uint16)
    shades = np.asarray(sent(saved(Image.fromarray(ramp), kind))[1].convert("L"))[10]
    assert (shades[0], shades[-1]) == (0, 255)
    assert 120 < shades[100] < 136


def test_a_damaged_exif_note_does_not_cost_the_picture():
    content = saved(drawing(), "PNG", exif=b"Exif\x00\x00garbage")
    assert sent(content)[1].size == (400, 300)


def test_another_picture_in_the_same_place_is_another_picture(tmp_path):
    first = figure(tmp_path / "a.png", saved(drawing())).format()
    assert figure(tmp_path / "a.png", saved(drawing((20, 20)))).format() != first


def test_what_is_no_file_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(BadImage, match="it is no file"):
        figure(tmp_path / "pipe.png").check()


def bomb():
    """A PNG of a few bytes that says it has 50,000 × 50,000 pixels."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 50_000, 50_000, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


BAD = {
    "missing": (None, "is not there"),
    "empty": (b"", "is empty"),
    "truncated png": (saved(photograph())[:-2000], "is damaged"),
    "truncated jpeg": (saved(photograph(), "JPEG")[:-2000], "is damaged"),
    "header only": (saved(drawing())[:30], "is"),
    "no picture": (b"<html>404 Not Found</html>", "is not a picture"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is not a picture"),
    "bomb": (bomb(), "is too large"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_picture_names_the_example_and_the_file(tmp_path, name):
    content, says = BAD[name]
    bad = figure(tmp_path / "figure.png", content)
    for use in (bad.check, bad.format):
        with pytest.raises(BadImage, match=says) as error:
            use()
        assert str(error.value).startswith(f"Example 7 needs the image {tmp_path / 'figure.png'}, which {says}")
        assert pickle.loads(pickle.dumps(error.value)).fault == error.value.fault


def test_a_folder_in_the_place_of_a_picture_is_a_fault(tmp_path):
    with pytest.raises(BadImage, match="cannot be read"):
        figure(tmp_path).check()


def test_a_large_picture_within_the_limit_is_fine_and_one_above_is_not(monkeypatch):
    monkeypatch.setattr(pictures, "MAX_PIXELS", 400 * 300)
    assert sent(saved(drawing()))[1].size == (400, 300)
    with pytest.raises(ValueError, match=r"401 × 300 pixels are more than 120,000"):
        encode(saved(drawing((401, 300))))


def test_what_has_another_ending_than_its_content_is_read_by_its_content(tmp_path):
    (part,) = figure(tmp_path / "figure.png", saved(photograph(), "JPEG")).format()
    assert part["image_url"]["url"].startswith("data:image/jpeg;base64,")


def test_faults_are_those_of_the_bad_figures_only(tmp_path):
    good = figure(tmp_path / "a.png", saved(drawing()))
    bad = figure(tmp_path / "b.png", b"")
    found = faults([good, bad, dspy.Image("data:image/png;base64,AAAA"), good])
    assert [fault.name for fault in found] == [str(tmp_path / "b.png")]


def test_a_picture_that_examples_share_is_decoded_once_and_a_fault_of_each(tmp_path, monkeypatch):
    reads = []
    monkeypatch.setattr(File, "read", lambda self: reads.append(self.path) or b"")
    shared = [Figure(File(tmp_path / "a.png"), example=example) for example in ("1", "2", "3")]
    assert [fault.example for fault in faults(shared)] == ["1", "2", "3"]
    assert len(reads) == 1


def test_figures_are_found_among_the_inputs_only(tmp_path):
    a, b, c = (figure(tmp_path / name) for name in "abc")
    example = dspy.Example(image=a, figures=[b, "text"], label=c, none=None).with_inputs("image", "figures", "none")
    assert figures_of(example) == [a, b]


@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 200))
def test_downscaling_keeps_the_shape_and_never_enlarges(width, height, longest):
    picture = sent(saved(Image.new("RGB", (width, height))), longest_side=longest)[1]
    assert max(picture.size) == min(longest, max(width, height))
    scale = min(1, longest / max(width, height))
    assert abs(picture.width - width * scale) <= 1
    assert abs(picture.height - height * scale) <= 1


def test_the_samples_figures_reach_the_models_without_loss(tmp_path):
    write_sample("scienceqa", tmp_path, {"train": 9})
    paths = sorted((tmp_path / "images").rglob("*.png"))
    assert len(paths) >= 5
    for path in paths:
        kind, picture = sent(path.read_bytes())
        assert kind == "png"
        assert picture.convert("RGB") == Image.open(path).convert("RGB")
