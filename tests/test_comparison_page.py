import base64
import re
import shutil
import subprocess
import sys
from html import unescape
from html.parser import HTMLParser

import pytest
from compared import PNG, REASON, compared, comparison, contrast, many, prompts, result, row, uncompiled
from pydantic import ValidationError

from pld_dspy.optimizers.pictures import comparison_pictures
from pld_dspy.optimizers.report import Reply, comparison_page
from pld_dspy.optimizers.results import GroupScore, PredictorPrompt
from pld_dspy.optimizers.tables import RULES_ONLY
from pld_dspy.report.page import LONGEST
from pld_dspy.report.tables import SIMULATED

HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>\x1b[31m\x00\ud800 $x^$ " + "n" * 200
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chromium-browser"))), None)
FRAME = """<!DOCTYPE html><iframe src="{}" style="border:0;width:360px;height:900px" onload="
const inside = this.contentDocument.documentElement;
const fetched = this.contentWindow.performance.getEntriesByType('resource');
document.title = [inside.clientWidth, inside.scrollWidth, fetched.map(each => each.name)].join(' ');
"></iframe>"""


class Elements(HTMLParser):
    """Every element of a page with its attributes."""

    def __init__(self, html):
        super().__init__()
        self.found = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


@pytest.fixture(scope="module")
def html():
    return comparison_page(comparison(), [contrast()], [prompts()])


def words(html):
    """A page's text, without its markup."""
    return " ".join(re.sub(r"<[^>]*>", " ", html[html.index("<body>") :]).split())


def hostile():
    groups = {f"{HOSTILE}{number}": GroupScore(n=9, score=0.1 * number) for number in range(16)}
    bad = row("pld", HOSTILE, settings=HOSTILE, why_not=HOSTILE, results=[result(groups=groups)])
    prompt = PredictorPrompt(predictor=HOSTILE, instructions=HOSTILE, demonstrations=[HOSTILE], images=0)
    return comparison_page(
        comparison(
            uncompiled(),
            bad,
            bad.model_copy(update={"optimizer": "gone", "results": [], "score": None}),
            program=HOSTILE,
            data=HOSTILE,
            modality=HOSTILE,
            models={HOSTILE: HOSTILE},
            n={"test": 200, HOSTILE: 3},
        ),
        [
            contrast(
                example=HOSTILE,
                question=HOSTILE,
                given={HOSTILE: HOSTILE},
                gold=HOSTILE,
                replies=[Reply(score=0, answer=HOSTILE, optimizers=[HOSTILE])],
                pictures=[PNG],
            )
        ],
        [prompts(optimizer=HOSTILE, prompts=[prompt])],
    )


def test_data_cannot_become_markup():
    html = hostile()
    html.encode()
    assert html.count("&lt;script&gt;") >= 20, "escaped wherever data is shown"
    assert not re.search("[\x00-\x09\x0b-\x1f]", html)
    elements = Elements(html).found
    names = {"html", "head", "meta", "title", "style", "body", "header", "main", "div", "span", "strong", "br", "p"}
    names |= {"h1", "h2", "h3", "table", "thead", "tbody", "tr", "th", "td", "figure", "figcaption", "img"}
    names |= {"details", "summary", "article", "ul", "li", "dl", "dt", "dd"}
    assert {tag for tag, _ in elements} <= names
    attributes = {name for _, attributes in elements for name in attributes}
    assert not [name for name in attributes if name.startswith("on") or name in ("srcset", "action", "href", "style")]


def test_needs_no_network():
    html = comparison_page(many(), [contrast()], [prompts()])
    elements = Elements(html).found
    policy = [attributes["content"] for tag, attributes in elements if "http-equiv" in attributes]
    assert policy == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]
    images = [attributes for tag, attributes in elements if tag == "img"]
    assert len(images) == 5
    assert all(image["src"].startswith("data:image/") and len(image["alt"]) > 10 for image in images)
    assert not re.search(r"https?:|url\(|@import", html)
    for image in images[:4]:
        picture = base64.b64decode(image["src"].partition("base64,")[2]).decode()
        assert picture.startswith("<?xml")
        assert not re.search(r'(?:href|src)="(?!#|data:)', picture)


def test_equal_input_gives_equal_bytes():
    assert comparison_page(many(), [contrast()], [prompts()]) == comparison_page(many(), [contrast()], [prompts()])


def test_the_first_line_is_the_result_and_the_table_comes_first(html):
    text = words(html)
    assert (
        "PLD scores highest, 70.0% on 200 test questions; the uncompiled student scores 60.0%. The difference"
        " (+10.0 points, 95% interval +2.0 to +18.0, p = 0.031 Holm-corrected) is distinguishable from zero."
    ) in text
    assert (
        "Of 2 tested against the uncompiled student, 1 scores distinguishably higher, 0 distinguishably lower" in text
    )
    assert "teacher: openai/large; student: openai/small; data: sample, image, train 100, val 50, test 200;" in text
    assert "seed: 0; 16 calls side by side; at most 5,000 calls a compile." in text
    headings = re.findall(r"<h2>(.*?)</h2>", html)
    assert headings == [
        "Scores and tests",
        "What each question costs",
        "What compiling cost",
        "Pictures",
        "Questions on which they differ",
        "What each program is told",
        "Settings",
    ]


def test_scores_and_tests_are_in_the_table(html):
    text = words(html)
    assert "1 Uncompiled on the Pareto front 60.0% 54.0–66.0 60.0 – – – −10.0 −18.0 to −2.0 p = 0.031 31 / 11" in text
    assert "2 PLD on the Pareto front 70.0% 64.0–76.0 70.0 +10.0 +2.0 to +18.0 p = 0.031 31 / 11 – – –" in text
    assert "3 GEPA 62.0% 56.0–68.0 62.0 +2.0 −5.0 to +9.0 p = 0.600 31 / 11 −8.0 −16.0 to 0.0 p = 0.031" in text


def test_bold_is_what_test_and_interval_both_say(html):
    assert html.count("<strong>p = 0.031</strong>") == 2, "not where the interval ends at zero"


def test_prices_are_in_the_table(html):
    text = words(html)
    assert "2 PLD 70.0% 1.00 1,234 56 0.50 80.0% 1.25 0.00012" in text
    assert "2 PLD 90 100 30,000 2,000 61 0.50 1,000 30,000 2,000 61 0.50" in text
    assert "1 Uncompiled 0 0 0 0 0 0.00 0 0 0 0 0.00" in text


def test_seeds_are_averaged():
    rows = [uncompiled(), row(seeds=(0, 1, 2), title="PLD", vs_baseline=compared())]
    rows[1].results[1].capped = True
    rows[1].results[2].errors = 4
    text = words(comparison_page(comparison(*rows)))
    assert (
        "2 PLD cap on calls reached with 1 of 3 seeds 4 answers unreadable or refused 70.0% 64.0–76.0 70.0 71.0 72.0"
        in text
    )
    assert "2 PLD cap reached 90 200 30,000" in text, "the mean of 100, 200 and 300 calls"


def test_why_a_row_did_not_run(html):
    assert f"4 KNNFewShot no result : {REASON}" in words(html)
    partly = row(why_not="Seed 1: no answer.", vs_baseline=compared())
    assert "some seeds have no result : Seed 1: no answer." in words(comparison_page(comparison(uncompiled(), partly)))


@pytest.mark.parametrize("role", ["teacher", "student"])
def test_simulated_models_are_called_so(role, html):
    models = {"teacher": "openai/large", "student": "openai/small"}
    simulated = unescape(words(comparison_page(comparison(models={**models, role: "rehearsal:seed=0"}))))
    assert simulated.index(SIMULATED) < simulated.index(RULES_ONLY) < simulated.index("scores highest")
    assert SIMULATED not in words(html)


def test_what_is_not_known_is_a_dash():
    unpriced = result()
    unpriced.question.cost_usd = None
    for used in unpriced.compile.values():
        used.cost_usd = None
    same = row(results=[unpriced], score=1.0, low=None, high=None)
    text = words(comparison_page(comparison(uncompiled(), same, seeds=[0])))
    assert "2 PLD 100.0% no interval 70.0" in text
    assert "80.0% 1.25 – " in text
    assert "2 PLD 90 100 30,000 2,000 61 – 1,000 30,000 2,000 61 –" in text


def test_with_nothing_to_show():
    nothing = comparison_page(comparison().model_copy(update={"rows": []}))
    assert "Nothing was compared." in words(nothing)
    assert "<img" not in nothing
    alone = comparison_page(comparison(uncompiled(vs_method=None)))
    assert "there is nothing to compare it with" in alone
    assert "compared with" not in alone
    assert "No optimizer could run" in comparison_page(comparison(comparison().rows[3]))


def test_the_picture_of_the_front_has_all_rows_even_where_they_are_equal():
    equal = comparison(*[row(f"o{number}", "$x^$" * 60, 0.5, low=None, high=None) for number in range(13)])
    assert list(comparison_pictures(equal)) == ["scores", "front", "groups", "costs"]
    free = comparison(row(results=[result(compile={}, groups={})]))
    assert list(comparison_pictures(free)) == ["scores", "front"]
    titles = ["Scores", "Score against what a question costs", "Scores by kind of question", "What compiling cost"]
    for found, shown in ((equal, titles), (free, titles[:2])):
        figures = re.findall(r"<figure>\s*<h3>(.*?)</h3>", comparison_page(found))
        assert figures == shown


def test_contrasts_are_marked_by_words(html):
    text = words(html)
    assert "Which is farthest north? choices: West Virginia; Louisiana Gold answer: (A) West Virginia" in text
    assert "wrong: (B) Louisiana Uncompiled right: (A) West Virginia PLD scores 40.0%: (A) or (B) GEPA" in text


def test_optimizers_that_gave_the_same_reply_stand_together():
    replies = [
        Reply(score=0, answer="C", optimizers=["Uncompiled", "GEPA"]),
        Reply(score=1, answer="C", optimizers=["PLD"]),
    ]
    text = words(comparison_page(comparison(), [contrast(replies=replies)]))
    assert "wrong: C Uncompiled; GEPA right: C PLD" in text


@pytest.mark.parametrize(
    "source",
    [
        HOSTILE,
        "data:image/svg+xml;base64,PHN2Zy8+",
        "data:text/html;base64,AAAA",
        "javascript:alert(1)",
        "picture.png",
        f'{PNG}" onerror="alert(1)',
        f"{PNG}\n",
    ],
)
def test_only_thumbnails_are_pictures(source):
    with pytest.raises(ValidationError, match=r"pictures\.1"):
        contrast(pictures=[PNG, source])


def test_the_first_eight_pictures_of_a_question_are_shown():
    html = comparison_page(comparison(), [contrast(pictures=[PNG] * 14), contrast(pictures=[PNG] * 9)])
    shown = [attributes["src"] for tag, attributes in Elements(html).found if tag == "img"]
    assert shown[4:] == [PNG] * 16
    assert "6 pictures are not shown." in html
    assert "1 picture is not shown." in html


def test_what_programs_are_told_keeps_its_lines():
    long = PredictorPrompt(predictor="look", instructions="x" * (LONGEST + 7), demonstrations=[], images=0)
    html = comparison_page(comparison(), prompts=[prompts(), prompts(optimizer="gepa", seed=2, prompts=[long])])
    assert ">Answer with one letter.\n\n1. If a map is shown:\n    find north.</div>" in html
    text = words(html)
    assert "PLD , seed 0: 2 demonstrations answer" in text
    assert "2 demonstrations, 3 images in them." in text
    assert "GEPA , seed 2: 0 demonstrations look" in text
    assert "(7 more characters)" in text
    assert "The settings of GEPA." in text


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
@pytest.mark.parametrize("made", [lambda: comparison_page(many(), [contrast()], [prompts()]), hostile])
def test_in_a_browser(made, tmp_path):
    """On a phone nothing is wider than the page, nothing is fetched and the console stays empty."""
    (tmp_path / "page.html").write_text(made().replace("<details", "<details open"), "utf-8")
    (tmp_path / "frame.html").write_text(FRAME.format("page.html"), "utf-8")
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--allow-file-access-from-files",
        "--enable-logging=stderr",
    ]
    run = subprocess.run(
        [
            CHROMIUM,
            *options,
            "--virtual-time-budget=2000",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--dump-dom",
            (tmp_path / "frame.html").as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "CONSOLE" not in run.stderr
    width, needed, fetched = re.search("<title>(.*?) (.*?) (.*?)</title>", run.stdout).groups()
    assert int(needed) <= int(width) <= 360
    assert fetched == ""


def test_is_light_to_import():
    heavy = "{'jinja2', 'matplotlib', 'optuna'}"
    code = f"import sys, pld_dspy.optimizers.report; print(sorted({heavy} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
