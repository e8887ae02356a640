"""Whether the words of a picture can be read."""

from itertools import combinations

import matplotlib as mpl
from matplotlib.text import Text

from kd_jax.report import drawing


def beyond_the_axes(figure):
    """Labels of ticks outside the axes' limits, which matplotlib makes but does not draw."""
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        low, high = sorted(axis.get_view_interval())
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
            if not low - 1e-9 <= tick.get_loc() <= high + 1e-9:
                yield from (tick.label1, tick.label2)


def assert_legible(figure):
    """No text is cut off by the frame or covers another."""
    with mpl.rc_context(drawing.STYLE):
        figure.draw_without_rendering()
        unseen = set(beyond_the_axes(figure))
        texts = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip() and t not in unseen]
        boxes = [(text.get_text(), text.get_window_extent()) for text in texts]
        upright = [box for text, box in zip(texts, boxes, strict=True) if text.get_rotation() in {0, 90}]
    assert len(boxes) > 4
    frame = figure.bbox
    for text, box in boxes:
        inside = box.x0 >= -1 and box.y0 >= -1 and box.x1 <= frame.x1 + 1 and box.y1 <= frame.y1 + 1
        assert inside, f"{text!r} leaves the frame: {box}"
    for (one, first), (other, second) in combinations(upright, 2):
        shared = mpl.transforms.Bbox.intersection(first, second)
        assert shared is None or min(shared.width, shared.height) < 1.5, f"{one!r} covers {other!r}"
