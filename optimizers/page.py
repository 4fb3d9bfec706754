"""A comparison as one page, for a browser without a network: scores and tests, prices, contrasts, prompts."""

import re
from collections.abc import Sequence
from itertools import groupby
from math import floor, log10
from typing import Any

from pld_dspy.optimizers.averages import by_group, compiling, groups_of, per_question, roles
from pld_dspy.optimizers.pictures import comparison_pictures
from pld_dspy.optimizers.registry import METHOD
from pld_dspy.optimizers.results import Comparison, Contrast, Row, Told
from pld_dspy.optimizers.tables import described, distinct, notice, p_value, points, result_line, span, standing
from pld_dspy.report.page import LONGEST, environment
from pld_dspy.rules.wording import sound

MOST_PICTURES = 8  # of a question
MOST_DEMONSTRATIONS = 50  # of a predictor
_THUMBNAIL = re.compile(r"data:image/(?:png|jpeg|webp);base64,[A-Za-z0-9+/]+={0,2}")


def comparison_page(comparison: Comparison, contrasts: Sequence[Contrast] = (), told: Sequence[Told] = ()) -> str:
    """Make the comparison's page. The same arguments give the same text.

    Args:
        comparison: what it found out.
        contrasts: test questions that some programs answered rightly and others wrongly.
        told: the prompts of the compiled programs.

    Returns:
        HTML that needs no other file, no network and no scripts.
    """
    from jinja2 import PackageLoader

    pages = environment(PackageLoader("pld_dspy.optimizers", "templates"))
    pages.filters |= {"block": _block, "points": points, "span": span, "p_value": p_value, "dollars": _dollars}
    rows = comparison.rows
    titles = {row.optimizer: row.title for row in rows}
    return pages.get_template("compare.html").render(
        title=f"Optimizers compared: {comparison.program}",
        found=comparison,
        result=result_line(comparison),
        standing=standing(comparison),
        described=described(comparison),
        simulated=notice(comparison),
        lines=[_line(number, row) for number, row in enumerate(rows, start=1)],
        roles=roles(rows),
        references={
            field: name
            for field, name in {"vs_baseline": "uncompiled", "vs_method": titles.get(METHOD, METHOD)}.items()
            if any(getattr(row, field) for row in rows)
        },
        distinct=distinct,
        groups=groups_of(rows),
        by_group={row.optimizer: by_group(row) for row in rows},
        pictures=comparison_pictures(comparison),
        contrasts=[_card(contrast, titles) for contrast in contrasts],
        told=told,
        titles=titles,
        most_demonstrations=MOST_DEMONSTRATIONS,
    )


def _line(number: int, row: Row) -> dict[str, Any]:
    return {
        "number": number,
        "row": row,
        "question": per_question(row),
        "spent": compiling(row),
        "said": _said(row),
    }


def _said(row: Row) -> list[str]:
    """Remarks below an optimizer's name."""
    capped, errors = sum(result.capped for result in row.results), sum(result.errors for result in row.results)
    seeds = f" with {capped} of {len(row.results)} seeds" if len(row.results) > 1 else ""
    return [
        *(["on the Pareto front"] if row.on_front else []),
        *([f"cap on calls reached{seeds}"] if capped else []),
        *([f"{errors:,} answer{'s' if errors != 1 else ''} unreadable or refused"] if errors else []),
    ]


def _card(contrast: Contrast, titles: dict[str, str]) -> dict[str, Any]:
    """A contrast whose equal replies are put together, in the order of the first of each."""
    first: dict[tuple[float, str], int] = {}
    for reply in contrast.replies:
        first.setdefault((reply.score, reply.answer), len(first))
    replies = sorted(contrast.replies, key=lambda reply: first[reply.score, reply.answer])  # a stable sort
    shown = [picture for picture in contrast.pictures if _THUMBNAIL.fullmatch(picture)][:MOST_PICTURES]
    return {
        "contrast": contrast,
        "pictures": shown,
        "left_out": len(contrast.pictures) - len(shown),
        "replies": [
            {
                "mark": "right" if score >= 1 else "wrong" if score <= 0 else f"scores {100 * score:.1f}%",
                "answer": answer,
                "by": [titles.get(reply.optimizer, reply.optimizer) for reply in same],
            }
            for (score, answer), same in groupby(replies, key=lambda reply: (reply.score, reply.answer))
        ],
    }


def _dollars(amount: float | None) -> str:
    """US dollars to two digits that count."""
    if amount is None:
        return "–"
    if amount >= 1 or amount == 0:
        return f"{amount:,.2f}"
    return f"{amount:.{1 - floor(log10(amount))}f}"


def _block(text: object, most: int = LONGEST) -> str:
    """Data as text whose lines are kept, cut where it is too long for a page."""
    cut = sound(str(text)).expandtabs(4)
    lines = "\n".join(line.rstrip() for line in cut.splitlines()).strip("\n")
    kept = "".join(sign for sign in lines if sign.isprintable() or sign == "\n")
    return kept if len(kept) <= most else f"{kept[:most]}… ({len(kept) - most:,} more characters)"
