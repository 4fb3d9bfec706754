"""What a model in this process gets of a request: pictures as people see them, all instructions, and text as text."""

import base64
import io

import pytest
import transformers as hf
from dspy import lm15
from PIL import Image, ImageDraw
from tiny_models import ENDING, SEEING, TEXT, save_tiny_models

from pld_dspy.models.chats import read, render

NO_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('no system role') }}{% endif %}" + TEXT
SILENT = TEXT.replace(
    "<{{ turn.role }}>{{ turn.content }}",
    "{% if turn.role != 'system' %}<{{ turn.role }}>{{ turn.content | trim }}{% endif %}",
)
BESIDE_PICTURES = (  # as that of Llama 3.2 Vision
    "{% for turn in messages %}{% for part in turn.content %}"
    "{% if part.type == 'image' and messages[0].role == 'system' %}"
    "{{ raise_exception('Prompting with images is incompatible with system messages.') }}{% endif %}{% endfor %}"
    "{% endfor %}" + SEEING
)
DEAF = "<user>hello" + ENDING
RULES = "Answer.\n\n- If the sky is red, expect wind."


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return save_tiny_models(tmp_path_factory.mktemp("models"))


def rendered(folder, template, *parts, sees=False, system=RULES):
    tokenizer = hf.AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = template
    request = lm15.Request("tiny", (lm15.Message.user(list(parts)),), system=system)
    return render(tokenizer, tokenizer, read(request).messages, sees)


def png(image, kind="PNG", **settings):
    content = io.BytesIO()
    image.save(content, kind, **settings)
    return lm15.ImagePart(data=base64.b64encode(content.getvalue()).decode())


QUESTION = lm15.TextPart("Which?")


def test_a_template_with_a_system_turn_gets_one(folders):
    assert rendered(folders / "text", TEXT, QUESTION) == f"<system>{RULES}<user>Which?<assistant>"


@pytest.mark.parametrize("template", [NO_SYSTEM, SILENT])
def test_without_a_place_for_it_the_instructions_stand_in_front_of_the_question(folders, template):
    assert rendered(folders / "text", template, QUESTION) == f"<user>{RULES}\n\nWhich?<assistant>"
    assert rendered(folders / "text", template, QUESTION, system=None) == "<user>Which?<assistant>"


def test_beside_pictures_the_instructions_stand_in_front_of_them(folders):
    picture = png(Image.new("RGB", (8, 8)))
    text = rendered(folders / "sees", BESIDE_PICTURES, picture, QUESTION, sees=True)
    assert text == f"<user>{RULES}\n\n<image>Which?<assistant>"
    assert rendered(folders / "sees", BESIDE_PICTURES, QUESTION, sees=True).startswith(f"<system>{RULES}")


@pytest.mark.parametrize(
    ("template", "says"), [(DEAF, "drops the instructions"), ("{{ nothing.there }}", "cannot be used")]
)
def test_a_template_that_never_shows_them_is_refused(folders, template, says):
    with pytest.raises(ValueError, match=says):
        rendered(folders / "text", template, QUESTION)


def test_what_looks_like_a_special_token_in_a_text_is_text(folders):
    asked = lm15.TextPart("What does <image> mean in HTML, and <eos>?")
    text = rendered(folders / "sees", SEEING, png(Image.new("RGB", (8, 8))), asked, sees=True)
    assert text == f"<system>{RULES}<user><image>What does < image> mean in HTML, and < eos>?<assistant>"


def line(mode, ground, ink):
    picture = Image.new(mode, (40, 40), ground)
    ImageDraw.Draw(picture).line((0, 20, 40, 20), fill=ink, width=6)
    return picture


PLAIN = line("RGB", "white", "black")


@pytest.mark.parametrize(
    "part",
    [
        png(line("RGBA", (0, 0, 0, 0), (0, 0, 0, 255))),
        png(line("LA", (0, 0), (0, 255))),
        png(PLAIN.quantize(4)),
        png(line("I;16", 65535, 0)),
        png(PLAIN.convert("1")),
        png(PLAIN.convert("CMYK"), "TIFF"),
        png(PLAIN),
    ],
    ids=["transparent", "grey", "palette", "16 bit", "1 bit", "CMYK", "plain"],
)
def test_pictures_are_as_people_see_them(part):
    (picture,) = read(lm15.Request("tiny", (lm15.Message.user([part]),))).images
    assert picture.mode == "RGB"
    assert picture.getpixel((5, 5)) == (255, 255, 255)
    assert max(picture.getpixel((20, 20))) < 10


def test_a_picture_that_was_taken_sideways_stands_upright():
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees to see it
    (picture,) = read(lm15.Request("tiny", (lm15.Message.user([png(PLAIN, "JPEG", exif=exif)]),))).images
    assert max(picture.getpixel((20, 5))) < 30, "the line stands"
    assert min(picture.getpixel((5, 20))) > 225


def test_a_bomb_is_no_picture(monkeypatch):
    monkeypatch.setattr("pld_dspy.pictures.MAX_PIXELS", 1000)
    with pytest.raises(lm15.InvalidRequestError, match=r"cannot be read: it is too large: 40 × 40 pixels"):
        read(lm15.Request("tiny", (lm15.Message.user([png(PLAIN)]),)))
