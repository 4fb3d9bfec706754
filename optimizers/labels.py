"""Labels beside points that do not lie on one another."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Annotation

Point = tuple[float, float]

SIZE = 9  # points
_SIDES = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1))
_FAR = 14  # points, from where a line leads to the label


def place(figure: "Figure", axes: "Axes", labels: Mapping[Point, tuple[str, str]], line: Sequence[Point] = ()) -> None:
    """Write each label where it covers no point, no other label and no line.

    Args:
        figure: of the axes.
        axes: with everything else drawn.
        labels: by point, what is best written there, and what is written where that finds no room.
        line: through these points, along the axes.
    """
    from matplotlib.transforms import Bbox

    figure.draw_without_rendering()  # settles where the axes are
    inside = axes.get_window_extent()
    taken = (
        [Bbox.from_bounds(x - 6, y - 6, 12, 12) for x, y in axes.transData.transform(list(labels))] if labels else []
    )
    corners = list(axes.transData.transform(list(line))) if line else []
    for (x, y), (to_x, to_y) in pairwise(corners):
        taken.append(Bbox.from_extents(min(x, to_x) - 1, min(y, to_y) - 1, max(x, to_x) + 1, max(y, to_y) + 1))
    for point, wordings in sorted(labels.items()):
        for text, side, distance in _trials(wordings):
            label = _write(axes, point, text, side, distance)
            box = Bbox.padded(label.get_window_extent(), 1)
            fits = inside.x0 <= box.x0 and box.x1 <= inside.x1 and inside.y0 <= box.y0 and box.y1 <= inside.y1
            if fits and not any(box.overlaps(other) for other in taken):
                taken.append(box)
                break
            label.remove()
        else:
            _write(axes, point, wordings[-1], _SIDES[0], 6)


def _trials(wordings: tuple[str, str]) -> Iterator[tuple[str, tuple[int, int], int]]:
    for text in wordings:
        for distance in (7, 16, 28):
            for side in _SIDES:
                yield text, side, distance


def _write(axes: "Axes", point: Point, text: str, side: tuple[int, int], distance: int) -> "Annotation":
    label = axes.annotate(
        text,
        point,
        xytext=(distance * side[0], distance * side[1]),
        textcoords="offset points",
        ha={1: "left", 0: "center", -1: "right"}[side[0]],
        va={1: "bottom", 0: "center", -1: "top"}[side[1]],
        size=SIZE,
        parse_math=False,
        arrowprops={"arrowstyle": "-", "color": "#9aa0a6", "linewidth": 0.7, "shrinkB": 4} if distance > _FAR else None,
    )
    label.set_in_layout(False)
    return label
