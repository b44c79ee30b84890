"""The charts: figures hold the numbers they were given, sentences say them, and no name is read as markup."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import plotly.graph_objects as go
import pytest

from core.data.report import Sample, Split
from core.events import EpochEnded
from core.inference.metrics import Answer, Results
from core.words import say
from pages.parts import charts
from pages.parts.palette import LIGHT, swaps

PROJECT = Path(__file__).parent.parent.parent
HOSTILE = '<a href="https://elsewhere.example">x</a> & %{y}'


def epoch(phase: str, number: int, loss: float, val_loss: float | None, best: bool = False) -> EpochEnded:
    val_accuracy = None if val_loss is None else 1 - val_loss / 2
    return EpochEnded(
        phase=phase, epoch=number, train_loss=loss, train_accuracy=1 - loss / 2,
        val_loss=val_loss, val_accuracy=val_accuracy, best=best,
    )  # fmt: skip


RUN = [
    epoch("head", 1, 1.2, 0.9, best=True),
    epoch("head", 2, 0.8, 0.6, best=True),
    epoch("head", 3, 0.6, 0.7),
    epoch("finetune", 1, 0.4, 0.5, best=True),
    epoch("finetune", 2, 0.3, 0.55),
]


def trace(figure, uid: str):
    return next(one for one in figure.data if one.uid == uid)


def results() -> Results:
    """Six photos of three classes: one ant called a bee, one wasp called a bee."""
    told = [(0, 0), (0, 1), (1, 1), (1, 1), (2, 1), (2, 2)]
    answers = tuple(Answer(f"{i}.jpg", true, ((said, 0.9),)) for i, (true, said) in enumerate(told))
    return Results(("ants", "bees", HOSTILE), answers)


# --- curves --------------------------------------------------------------------------------------------------------


def test_fine_tuning_goes_on_counting_where_the_head_ended():
    figure = charts.curves(RUN, "loss")
    assert list(trace(figure, "train").x) == [1, 2, 3, 4, 5]
    assert list(trace(figure, "validation").y) == [0.9, 0.6, 0.7, 0.5, 0.55]


def test_the_phases_are_parted_by_one_line_between_them():
    figure = charts.curves(RUN, "loss")
    assert [(shape.x0, shape.x1) for shape in figure.layout.shapes] == [(3.5, 3.5)]
    assert [note.text.replace("&nbsp;", "") for note in figure.layout.annotations] == ["head", "fine-tuning"]
    assert charts.curves(RUN[:3], "loss").layout.shapes == ()


def test_the_latest_best_epoch_is_marked_where_its_weights_were_kept():
    figure = charts.curves(RUN, "accuracy")
    assert (list(trace(figure, "best").x), list(trace(figure, "best").y)) == ([4], [0.75])


def test_training_and_validation_differ_in_dash_and_symbol_and_not_only_in_colour():
    train, validation = (trace(charts.curves(RUN, "loss"), uid) for uid in ("train", "validation"))
    assert train.line.dash != validation.line.dash
    assert train.marker.symbol != validation.marker.symbol


def test_each_line_is_named_at_its_end_and_goes_with_it_when_hidden():
    figure = charts.curves(RUN, "loss")
    for uid, y in (("train", 0.3), ("validation", 0.55)):
        label = trace(figure, f"{uid}_label")
        assert (list(label.x), list(label.y), label.legendgroup) == ([5], [y], uid)


def test_names_of_lines_that_end_together_lean_apart():
    close = [epoch("head", 1, 1.0, 0.9), epoch("head", 2, 0.30, 0.31)]
    figure = charts.curves(close, "loss")
    assert trace(figure, "validation_label").textposition == "top right"
    assert trace(figure, "train_label").textposition == "bottom right"


def test_traces_keep_their_identity_while_points_arrive_so_that_the_legend_is_kept():
    before = [one.uid for one in charts.curves(RUN[:1], "loss").data]
    after = [one.uid for one in charts.curves(RUN, "loss").data]
    assert set(before) <= set(after)
    assert None not in after
    assert charts.curves(RUN[:1], "loss").layout.uirevision == charts.curves(RUN, "loss").layout.uirevision


def regular(penalties: list[float | None]) -> list[EpochEnded]:
    return [replace(point, penalty=penalty) for point, penalty in zip(RUN, penalties, strict=False)]


def test_the_regulariser_has_a_line_of_its_own_in_the_loss_chart_only():
    points = regular([None, None, None, 0.2, 0.15])
    line = trace(charts.curves(points, "loss"), "penalty")
    assert (list(line.x), list(line.y)) == ([1, 2, 3, 4, 5], [None, None, None, 0.2, 0.15])
    others = [trace(charts.curves(points, "loss"), uid) for uid in ("train", "validation")]
    for other in others:
        assert line.line.dash != other.line.dash
        assert line.line.color != other.line.color
        assert line.marker.symbol != other.marker.symbol
    assert line.showlegend is not False
    assert line.name == "λR(θ), the regulariser"
    assert "penalty" not in [one.uid for one in charts.curves(points, "accuracy").data]
    assert "penalty" not in [one.uid for one in charts.curves(RUN, "loss").data]


def test_the_regulariser_is_named_at_its_end_where_no_other_line_ends():
    far, near = regular([0.1, 0.2, 0.3, 0.9, 1.0]), regular([0.1, 0.2, 0.3, 0.3, 0.32])
    label = trace(charts.curves(far, "loss"), "penalty_label")
    assert (list(label.x), list(label.y), list(label.text)) == ([5], [1.0], ["λR(θ)"])
    assert label.legendgroup == "penalty"
    assert "penalty_label" not in [one.uid for one in charts.curves(near, "loss").data]


def test_a_sentence_says_the_regularisers_numbers():
    points = regular([0.5, 0.4])
    assert "and the regulariser λR(θ) from 0.50 to 0.40." in charts.curves_alt(points, "loss")
    assert "and the regulariser λR(θ) at 0.50." in charts.curves_alt(points[:1], "loss")
    assert "regulariser" not in charts.curves_alt(points, "accuracy")


@pytest.mark.parametrize(
    ("loss", "said"),
    [("cross_entropy", "cross-entropy"), ("mse", "mean squared error"), ("focal", "focal loss")],
)
def test_the_loss_chart_says_which_loss_it_is(loss, said):
    assert charts.curves(RUN, "loss", loss).layout.legend.title.text == f"Loss L(θ), {said}: lower is better"
    assert charts.curves(RUN, "accuracy", loss).layout.legend.title.text == "Accuracy: higher is better"
    assert charts.curves_alt(RUN, "loss", loss).startswith(f"Line chart of the loss ({said}) over 5 epochs")


def test_without_validation_photos_there_is_one_line_and_a_true_sentence():
    points = [epoch("head", 1, 1.0, None), epoch("head", 2, 0.5, None)]
    assert {one.uid for one in charts.curves(points, "loss").data} == {"train", "train_label"}
    assert charts.curves_alt(points, "loss") == "Line chart of the loss over 2 epochs: training went from 1.00 to 0.50."


def test_a_curves_sentence_says_its_numbers():
    assert charts.curves_alt(RUN, "loss") == (
        "Line chart of the loss over 5 epochs: training went from 1.20 to 0.30 and validation from 0.90 to 0.55. "
        "The best so far is epoch 4, with 0.50 in validation. Fine-tuning began after epoch 3."
    )
    assert charts.curves_alt(RUN[:1], "accuracy") == (
        "Line chart of the accuracy after 1 epoch: training is at 40 % and validation at 55 %. "
        "The best so far is epoch 1, with 55 % in validation."
    )
    assert charts.curves_alt([], "loss") == "Line chart of the loss: no epoch has ended yet."


def test_thinning_keeps_ends_of_phases_and_the_best_epoch_in_their_places():
    points = [epoch("head", n, 1.0, 1.0, best=n == 457) for n in range(1, 1001)]
    points += [epoch("finetune", n, 1.0, 1.0) for n in range(1, 501)]
    kept = charts.thinned(points, 100)
    assert len(kept) <= 106
    for must in (points[0], points[456], points[999], points[1000], points[-1]):
        assert any(point is must for point in kept)
    assert list(trace(charts.curves(kept, "loss"), "best").x) == [457]
    assert charts.thinned(points, 1500) == points


# --- right and wrong -----------------------------------------------------------------------------------------------


def test_the_matrix_shows_counts_and_is_coloured_by_the_share_of_its_row():
    found = results()
    figure = charts.confusion(found.confusion(), found.classes)
    heat, cells = figure.data
    assert [list(row) for row in heat.z] == [[0.5, 0.5, 0], [0, 1, 0], [0, 0.5, 0.5]]
    shown = {tuple(place): text for place, text in zip(cells.customdata, cells.text, strict=True)}
    assert shown == {
        (0, 0): "1", (0, 1): "1", (0, 2): "",
        (1, 0): "", (1, 1): "2", (1, 2): "",
        (2, 0): "", (2, 1): "1", (2, 2): "1",
    }  # fmt: skip
    assert dict(zip(map(tuple, cells.customdata), zip(cells.y, cells.x, strict=True), strict=True)) == {
        place: place for place in shown
    }


def test_the_first_class_stands_on_top_and_on_the_left():
    figure = charts.confusion([[1, 0], [0, 1]], ["a", "b"])
    assert figure.layout.yaxis.range[0] > figure.layout.yaxis.range[1]
    assert figure.layout.xaxis.range[0] < figure.layout.xaxis.range[1]


@pytest.mark.parametrize(("classes", "counted"), [(30, True), (31, False)])
def test_counts_are_written_while_they_fit_and_hover_text_always(classes, counted):
    matrix = [[3 if row == column else 0 for column in range(classes)] for row in range(classes)]
    cells = charts.confusion(matrix, [f"class {n}" for n in range(classes)]).data[1]
    assert ("text" in cells.mode) is counted
    assert "3 of 3 photos of “class 4” were called “class 4” (100 %)" in cells.hovertext


def test_three_hundred_classes_make_a_figure_that_can_be_sent():
    matrix = [[3 if row == column else 0 for column in range(300)] for row in range(300)]
    figure = charts.confusion(matrix, [f"class {n}" for n in range(300)])
    assert len(figure.data[1].x) == 300
    assert len(figure.to_json()) < 500_000


def test_a_matrix_sentence_counts_and_names_the_most_frequent_mistakes():
    matrix = [[8, 2, 0], [1, 9, 0], [0, 3, 7]]
    assert charts.confusion_alt(matrix, ["ants", "bees", "wasps"]) == (
        "Table of right and wrong answers over 3 classes: 24 of 30 photos were right. The most frequent mix-ups: "
        "3 times “wasps” was called “bees”, 2 times “ants” was called “bees” and once “bees” was called “ants”."
    )


def test_a_matrix_without_mistakes_or_without_photos_says_so():
    assert charts.confusion_alt([[1, 0], [0, 1]], ["a", "b"]).endswith("There were no mistakes.")
    assert charts.confusion_alt([[0, 0], [0, 0]], ["a", "b"]) == say("charts.confusion.alt.nothing")


def test_a_classes_bar_ends_at_its_share_and_its_whisker_at_its_interval():
    scores = results().class_scores()
    bars = charts.per_class_bars(scores).data[0]
    assert list(bars.x) == [0.5, 1.0, 0.5]
    for share, up, down, score in zip(bars.x, bars.error_x.array, bars.error_x.arrayminus, scores, strict=True):
        assert (share - down, share + up) == pytest.approx(score.interval)
    assert "“ants” 50 % (1 of 2, between 9 % and 91 %)" in charts.per_class_bars_alt(scores)


def test_a_class_without_test_photos_has_no_bar():
    scores = Results(("seen", "unseen"), (Answer("a.jpg", 0, ((0, 0.9),)),)).class_scores()
    figure = charts.per_class_bars(scores)
    assert list(figure.layout.yaxis.ticktext) == ["seen "]


def test_probabilities_are_bars_in_the_given_order_and_small_is_never_zero():
    answer = [("bees", 0.9964), ("ants", 0.0032), ("wasps", 0.0)]
    bars = charts.probabilities(answer).data[0]
    assert (list(bars.x), list(bars.text)) == ([0.9964, 0.0032, 0.0], ["100 %", "< 1 %", "0 %"])
    assert charts.probabilities_alt(answer) == (
        "Bar chart of the model's answers: “bees” 100 %, “ants” < 1 % and “wasps” 0 %."
    )


# --- photos --------------------------------------------------------------------------------------------------------


def split() -> Split:
    def samples(*targets: int) -> tuple[Sample, ...]:
        return tuple(Sample(f"{n}.jpg", target, sha256="") for n, target in enumerate(targets))

    return Split(("ants", "bees"), samples(0, 0, 0, 1), samples(0), samples(1), root="/nowhere")


def test_photos_are_counted_by_class_and_part():
    assert charts.part_counts(split()) == {"ants": {"train": 3, "val": 1}, "bees": {"train": 1, "test": 1}}


def test_parts_are_stacked_told_apart_by_pattern_and_totalled():
    *bars, totals = charts.class_counts(charts.part_counts(split())).data
    assert {bar.name: list(bar.x) for bar in bars} == {"training": [3, 1], "validation": [1, 0], "test": [0, 1]}
    assert len({bar.marker.pattern.shape for bar in bars}) == 3
    assert [text.removeprefix("&nbsp;") for text in totals.text] == ["4", "2"]


def test_a_count_sentence_lists_few_classes_and_sums_up_many():
    assert charts.class_counts_alt(charts.part_counts(split())) == (
        "Bar chart of photos in each class: “ants” 4 (3 training, 1 validation) and “bees” 2 (1 training, 1 test)."
    )
    many = {f"class {n}": {"all": 10 + n} for n in range(300)}
    assert (
        charts.class_counts_alt(many) == "Bar chart of photos in 300 classes, from 10 (“class 0”) to 309 (“class 299”)."
    )
    assert charts.class_counts(many).layout.height <= 1700


# --- all of them ---------------------------------------------------------------------------------------------------


def figures() -> dict[str, object]:
    found = results()
    return {
        "loss": charts.curves(RUN, "loss"),
        "regular": charts.curves(regular([0.5, 0.4, 0.3, 0.2, 0.1]), "loss", "mse"),
        "accuracy": charts.curves(RUN, "accuracy"),
        "confusion": charts.confusion(found.confusion(), found.classes),
        "per_class": charts.per_class_bars(found.class_scores()),
        "probabilities": charts.probabilities([(HOSTILE, 0.9), ("b", 0.1)]),
        "counts": charts.class_counts({HOSTILE: {"train": 3, "val": 1}, "b": {"train": 1}}),
    }


@pytest.mark.parametrize("name", figures())
def test_plotly_knows_every_setting_that_a_figure_uses(name):
    made = figures()[name].to_plotly_json()
    checked = go.Figure(made["data"], made["layout"])  # raises ValueError for a name or a value that plotly hasn't
    assert checked.layout.xaxis.automargin is True


@pytest.mark.parametrize("name", figures())
def test_every_colour_has_a_partner_in_the_dark(name):
    def colours(value, coloured=False):
        if isinstance(value, dict):
            for key, one in value.items():
                yield from colours(one, coloured or "color" in key)
        elif isinstance(value, list | tuple):
            for one in value:
                yield from colours(one, coloured)
        elif coloured and isinstance(value, str):
            yield value

    found = set(colours(figures()[name].to_plotly_json()))
    assert LIGHT.ink in found
    assert found - set(swaps()) == {"rgba(0,0,0,0)"}


@pytest.mark.parametrize("name", ["confusion", "per_class", "probabilities", "counts"])
def test_a_hostile_class_name_reaches_plotly_only_escaped(name):
    told = figures()[name].to_json().encode().decode("unicode_escape")
    assert "&lt;a href" in told
    assert "<a href" not in told


def test_a_name_of_digits_or_a_date_stays_a_name():
    axis = charts.class_counts({"10": {"all": 1}, "2020-01-01": {"all": 2}}).layout.yaxis
    assert (list(axis.tickvals), list(axis.ticktext)) == ([0, 1], ["10 ", "2020-01-01 "])


def test_importing_the_charts_imports_neither_plotly_nor_streamlit():
    code = "import sys, pages.parts.charts; print({'plotly', 'streamlit', 'torch', 'numpy'} & set(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "set()"
