"""The Results page: scores in words, the photos behind a cell, mending a label, thresholds and temperatures."""

import json
import re
import shutil
from collections.abc import Callable

import plotly.graph_objects as go
import pytest
from streamlit.testing.v1 import AppTest

from core.data.datasets import Dataset
from core.data.store import read_report
from core.inference.calibration import answering, reliability, trade
from core.inference.metrics import Answer, Results
from core.runs import RunDirectory
from core.words import say
from core.workspace import Workspace
from pages.parts import charts
from pages.parts.charts.frame import percent
from pages.parts.palette import swaps
from tests.app.conftest import Recorder, finish, make_photos, make_run
from tests.app.test_pages import boxes, texts

Visit = Callable[..., AppTest]


@pytest.fixture
def photos(workspace: Workspace) -> Dataset:
    return make_photos(workspace)


@pytest.fixture
def run(workspace: Workspace, photos: Dataset, recorder: Recorder) -> RunDirectory:
    """Finished: every test photo was taken for the first of three classes, each time 90 % sure."""
    return finish(make_run(workspace, photos, recorder))


def rewrite(run: RunDirectory, answers: list[Answer], temperature: float | None = None) -> Results:
    made = Results(run.split().classes, tuple(answers), (), temperature)
    run.metrics.write_text(json.dumps(made.to_json()), "utf-8")
    return made


def told(page: AppTest) -> str:
    assert not page.exception
    return "\n".join(texts(page))


def mend_boxes(page: AppTest) -> list:
    return [box for box in page.selectbox if str(box.key).startswith("judge_mend_")]


def test_the_score_is_told_in_words_with_its_interval_and_with_classes_alike(visit: Visit, run: RunDirectory) -> None:
    results = Results.from_json(run.results() or {})
    words = told(visit("results", run=run.id))
    assert f"**{results.correct} of {results.total} right: between" in words
    # One class of three is always recognised, the others never.
    assert "found **33\u00a0%** (" in words


def test_a_chosen_cell_shows_its_photos_and_how_sure_the_model_was(visit: Visit, run: RunDirectory) -> None:
    page = visit("results", run=run.id)
    tested = [sample for sample in run.split().test if sample.target == 1]
    first, second, _ = run.split().classes
    wrong = say("judge.matrix.wrong", n=len(tested), true=second, predicted=first)
    assert wrong in told(page)  # from the start: the most frequent mistake
    assert told(page).count(say("judge.matrix.sure", confidence="90\u00a0%")) == len(tested)
    page.selectbox(key=f"judge_true_{run.id}").set_value(0).run()
    assert say("judge.matrix.right", n=len([s for s in run.split().test if s.target == 0]), true=first) in told(page)
    page.selectbox(key=f"judge_said_{run.id}").set_value(2).run()
    assert say("judge.matrix.wrong", n=0, true=first, predicted=run.split().classes[2]) in told(page)


def test_a_label_is_mended_from_a_cell_and_the_run_keeps_its_score(
    visit: Visit, run: RunDirectory, photos: Dataset
) -> None:
    before = run.metrics.read_bytes()
    page = visit("results", run=run.id)
    first, second, _ = run.split().classes
    path = next(answer.path for answer in Results.from_json(run.results() or {}).cell(1, 0))
    box = mend_boxes(page)[0]
    assert box.value == second
    box.set_value(first).run()
    button = next(
        button for button in page.button if str(button.key).startswith("judge_mend_do_") and not button.disabled
    )
    button.click().run()
    assert {photo.path: photo.label for photo in read_report(photos).photos}[path] == first
    assert run.metrics.read_bytes() == before
    assert say("judge.mend.changed", n=1) in boxes(page)
    assert f"Labelled “{first}” by now" in told(page).replace("\\", "")
    page.button(key="judge_mend_undo").click().run()
    assert {photo.path: photo.label for photo in read_report(photos).photos}[path] == second
    assert say("judge.mend.changed", n=1) not in boxes(page)
    assert mend_boxes(page)[0].value == second


def test_where_the_photos_are_gone_nothing_can_be_mended_and_the_page_says_so(
    visit: Visit, run: RunDirectory, photos: Dataset
) -> None:
    shutil.rmtree(photos.folder)
    page = visit("results", run=run.id)
    words = told(page)
    assert say("judge.mend.gone") in words
    assert say("judge.matrix.no_picture") not in words  # said once is enough
    assert mend_boxes(page) == []


def test_a_photo_that_is_gone_is_said_to_be(visit: Visit, run: RunDirectory, photos: Dataset) -> None:
    gone = Results.from_json(run.results() or {}).mistakes()[0]
    path = Results.from_json(run.results() or {}).cell(gone.true, gone.predicted)[0].path
    (photos.root / path).unlink()
    assert told(visit("results", run=run.id)).count(say("judge.matrix.no_picture")) == 1


def test_the_most_frequent_mistakes_are_named(visit: Visit, run: RunDirectory) -> None:
    results = Results.from_json(run.results() or {})
    first = results.mistakes()[0]
    pair = say(
        "judge.matrix.pair", true=results.classes[first.true], predicted=results.classes[first.predicted],
        count=first.photos, n=sum(results.confusion()[first.true]),
    )  # fmt: skip
    assert f"- {pair}" in told(visit("results", run=run.id))


def test_a_threshold_says_how_many_are_answered_and_how_many_of_those_are_right(
    visit: Visit, run: RunDirectory
) -> None:
    classes = len(run.split().classes)
    answers = [
        Answer(f"{number}.jpg", 0, ((0 if number < 6 else 1, 0.95 if number < 5 else 0.6), (classes - 1, 0.05)))
        for number in range(10)
    ]
    rewrite(run, answers)
    page = visit("results", run=run.id)
    words = told(page)  # at 80 %: five answers, all right
    assert "**5 of 10** photos (50\u00a0%); 5 of these 5 are right, 100\u00a0%" in words
    assert say("judge.threshold.silent", n=5) in words
    page.slider(key="judge_threshold").set_value(60).run()
    assert "**10 of 10** photos (100\u00a0%); 6 of these 10 are right, 60\u00a0%" in told(page)
    page.slider(key="judge_threshold").set_value(96).run()
    assert say("judge.threshold.nothing", n=10) in told(page)


def test_certainty_is_compared_with_and_without_the_temperature(visit: Visit, run: RunDirectory) -> None:
    assert say("judge.calibration.none", fewest=20) in told(visit("results", run=run.id))
    # 95 % sure and right half the time; at the temperature 55 %.
    answers = [Answer(f"{number}.jpg", 0, ((number % 2, 0.95), (2, 0.05)), 0.55) for number in range(10)]
    rewrite(run, answers, temperature=2.5)
    words = told(visit("results", run=run.id))
    assert say("judge.calibration.before", n=10, error="45.0") in words
    assert say("judge.calibration.after", error="5.0", temperature="2.50") in words


def test_a_run_without_test_photos_says_so_as_ever(visit: Visit, run: RunDirectory) -> None:
    run.metrics.unlink()
    page = visit("results", run=run.id)
    assert say("results.no_test") in boxes(page)
    assert not page.slider


def test_the_charts_are_told_in_sentences() -> None:
    sure, right = [0.95, 0.95, 0.6, 0.56], [True, True, True, False]
    bins = reliability(sure, right)
    assert charts.calibration_alt(bins, None) == (
        "Line chart of how often the model was right over how sure it was: "
        f"{percent(0.58)} sure, {percent(0.5)} right (2 photos) and "
        f"{percent(0.95)} sure, {percent(1)} right (2 photos)."
    )
    points = trade(sure, right)
    alt = charts.trade_alt(points, answering(sure, right, 0.9))
    assert "where all 4 photos are answered" in alt
    assert "2 of 4 photos get an answer" in alt
    assert charts.trade_alt(points, answering(sure, right, 0.99)).endswith("are answered.")


def test_plotly_knows_every_setting_of_the_charts_and_each_colour_has_a_partner_in_the_dark() -> None:
    bins, points = reliability([0.9, 0.4], [True, False]), trade([0.9, 0.4], [True, False])
    for figure in (charts.calibration(bins, bins), charts.trade(points, answering([0.9, 0.4], [True, False], 0.5))):
        made = figure.to_plotly_json()
        go.Figure(made["data"], made["layout"])  # raises ValueError for a name or a value that plotly hasn't
        used = set(re.findall(r"#[0-9A-Fa-f]{6}", figure.to_json()))
        assert used
        assert used <= set(swaps())
