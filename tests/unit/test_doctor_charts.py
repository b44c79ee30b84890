"""The doctor's charts hold the numbers they were given, and their sentences say them."""

import pytest

from pages.parts import charts
from pages.parts.palette import swaps

VALUES = {"ants": 0.31, "<b>bees</b>": 0.62}
ROUNDS = [(20, 0.7, 0.48, 0.86), (60, 0.85, 0.74, 0.92)]


def test_a_fact_is_drawn_as_one_bar_a_class_and_names_are_no_markup():
    figure = charts.fact_by_class(VALUES, "mean light")
    (bars,) = figure.data
    assert list(bars.x) == [0.31, 0.62]
    assert list(bars.text) == ["0.31", "0.62"]
    assert figure.layout.xaxis.title.text == "mean light"
    assert "<b>" not in "".join([*bars.hovertext, *figure.layout.yaxis.ticktext])


def test_a_fact_is_told_class_by_class_and_by_its_ends_where_there_are_many():
    assert charts.fact_by_class_alt(VALUES, "mean light").endswith("“ants” 0.31 and “<b>bees</b>” 0.62.")
    many = {f"c{number:02}": float(number) for number in range(40)}
    told = charts.fact_by_class_alt(many, "width")
    assert "40 classes" in told
    assert told.endswith("“c00” 0 and “c39” 39.")


def test_rounds_are_drawn_with_their_intervals():
    (line,) = charts.rounds(ROUNDS).data
    assert list(line.x) == [20, 60]
    assert list(line.y) == [0.7, 0.85]
    assert list(line.error_y.array) == pytest.approx([0.16, 0.07])
    assert list(line.error_y.arrayminus) == pytest.approx([0.22, 0.11])
    told = charts.rounds_alt(ROUNDS)
    assert "70 % at 20 photos (between 48 % and 86 %)" in told
    assert "85 % at 60 photos" in told


def test_the_charts_use_only_colours_that_have_a_partner_in_the_dark():
    import re

    for figure in (charts.fact_by_class(VALUES, "x"), charts.rounds(ROUNDS)):
        assert set(re.findall(r"#[0-9A-Fa-f]{6}", figure.to_json())) <= set(swaps())


def test_the_figures_are_as_plotly_wants_them():
    import plotly.graph_objects as go

    for figure in (charts.fact_by_class(VALUES, "x"), charts.rounds(ROUNDS)):
        layout = {name: value for name, value in figure.layout.to_plotly_json().items() if name != "meta"}
        go.Figure(figure.data, layout)  # raises where a property isn't known
