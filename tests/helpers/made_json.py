"""Arbitrary JSON values, and what becomes of a value when arbitrary places of it are replaced by others."""

from typing import Any

from hypothesis import strategies as st

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def harmed(draw: st.DrawFn, value: Any) -> Any:
    """A value of JSON types with one place, at any depth, that is missing, has another name, or holds anything."""
    inside = isinstance(value, dict | list) and value and draw(st.integers(0, 3))
    if not inside:
        return draw(ANYTHING)
    place = draw(st.sampled_from(sorted(value) if isinstance(value, dict) else range(len(value))))
    copy = value.copy()
    old = copy.pop(place)
    if isinstance(value, list):
        return [*copy[:place], draw(harmed(old)), *copy[place:]]
    action = draw(st.sampled_from(["change", "change", "drop", "rename"]))
    if action == "change":
        copy[place] = draw(harmed(old))
    elif action == "rename":
        copy[draw(st.text(max_size=8) | st.just("../" + place))] = old
    return copy
