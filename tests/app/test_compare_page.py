"""The Compare page without a browser: which runs it shows, what it says of them, and what its buttons do."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from streamlit.testing.v1 import AppTest

from core.config import TrainConfig
from core.events import EpochEnded, Failed, Started
from core.inference.compare import NotComparable, Pairing
from core.inference.metrics import Results
from core.runs import RunDirectory, notes
from core.runs.notes import Note
from core.runs.store import EventWriter
from core.words import say
from core.workspace import Workspace
from pages.parts import compared, panels
from pages.parts.charts.compared import RunCurve, together, together_alt
from tests.app.conftest import Recorder, finish, make_photos, make_run
from tests.app.test_pages import HOSTILE_IDS, HOSTILE_NAMES, boxes, texts

Visit = Callable[..., AppTest]


@pytest.fixture
def finished(workspace: Workspace, recorder: Recorder) -> list[RunDirectory]:
    """Two finished runs on the same photos, with different settings."""
    photos = make_photos(workspace, per_class=6)
    return [finish(make_run(workspace, photos, recorder, config)) for config in (TrainConfig(), TrainConfig(epochs=7))]


def side_by_side(visit: Visit, runs: list[RunDirectory]) -> AppTest:
    page = visit("compare", runs=",".join(run.id for run in runs))
    assert not page.exception
    return page


def table(page: AppTest, heading: str) -> list[dict[str, str]]:
    """The rows of the table that has a column of this name."""
    found = [element.value for element in page.dataframe if heading in element.value.columns]
    assert len(found) == 1
    return found[0].to_dict("records")


def test_without_any_run_the_page_says_what_it_waits_for(visit):
    page = visit("compare")
    assert not page.exception
    assert [box.value for box in page.info] == [say("compare.waits")]


def test_an_address_that_names_nothing_of_ours_leads_to_a_calm_page(visit, finished):
    for identifier in (",".join(HOSTILE_IDS), HOSTILE_IDS[1], ",,,", "../x" * 500):
        page = visit("compare", runs=identifier, run=identifier)
        assert not page.exception, identifier
        assert not page.error, identifier
        assert say("compare.none_chosen") in boxes(page)
        assert not any("script>" in text for text in texts(page))
    page = visit("compare", runs=f"{finished[0].id},../../x,{finished[0].id},{finished[1].id}")
    assert boxes(page) == say("compare.gone", n=1)
    assert page.multiselect[0].value == [run.id for run in finished]


def test_the_run_that_was_looked_at_is_chosen_first_and_goes_into_the_address(visit, finished):
    page = visit("compare", run=finished[1].id)
    assert page.multiselect[0].value == [finished[1].id]
    assert boxes(page) == say("compare.too_few")
    page.multiselect[0].select(finished[0].id).run()
    assert not page.exception
    assert page.query_params["runs"] in ([value := f"{finished[1].id},{finished[0].id}"], value)
    assert boxes(page) == ""


def test_two_runs_of_the_same_minute_are_told_apart_in_the_list(visit, finished):
    page = side_by_side(visit, finished)
    assert len(set(page.multiselect[0].options)) == 2
    page.button(key=f"star_{finished[1].id}").click().run()
    assert page.multiselect[0].value == [run.id for run in finished]


def test_scores_are_those_of_the_files_and_only_what_differs_is_listed(visit, finished):
    page = side_by_side(visit, finished)
    told = json.loads(finished[0].metrics.read_text("utf-8"))
    rows = table(page, say("compare.scores.score"))
    assert [row[say("compare.scores.run")][0] for row in rows] == ["A", "B"]
    assert f"({told['correct']} of {told['total']})" in rows[0][say("compare.scores.score")]
    low, high = told["interval"]
    assert rows[0][say("compare.scores.interval")] == f"{panels.percent(low)} – {panels.percent(high)}"
    # Fine-tuning epochs mean nothing where every stage is frozen, as it is in both.
    assert say("compare.settings.same") in texts(page)
    assert say("compare.chance.none", first="A", second="B", n=told["total"]) in texts(page)


def test_settings_that_differ_are_in_words(visit, workspace, recorder):
    photos = make_photos(workspace, per_class=6)
    configs = (TrainConfig(), TrainConfig(freeze_depth=3, epochs=7, head="cosine", head_first=False))
    page = side_by_side(visit, [finish(make_run(workspace, photos, recorder, config)) for config in configs])
    rows = {row[say("compare.settings.setting")]: (row["A"], row["B"]) for row in table(page, "B")}
    assert rows[say("settings.freeze_depth.label")] == ("all", "3")
    assert rows[say("settings.epochs.label")] == ("–", "7")
    assert rows[say("settings.head.label")] == (say("options.head.linear"), say("options.head.cosine"))
    assert rows[say("settings.head_first.label")] == ("–", say("compare.yes_no.off"))
    assert say("settings.seed.label") not in rows


def test_runs_that_train_have_failed_or_have_no_test_photos_are_compared_as_far_as_they_got(
    visit, workspace, recorder, finished
):
    photos = make_photos(workspace, per_class=6)
    running, failed, untested = (make_run(workspace, photos, recorder) for _ in range(3))
    for run, event in ((running, EpochEnded(epoch=1, of=9, val_loss=0.4, val_accuracy=0.5)), (failed, Failed())):
        writer = EventWriter(run)
        writer.append(Started())
        writer.append(event)
        writer.close()
    finish(untested).metrics.write_text(json.dumps(Results(("a", "b"), ()).to_json()), "utf-8")
    page = side_by_side(visit, [finished[0], running, failed, untested])
    states = [row[say("compare.scores.state")] for row in table(page, say("compare.scores.state"))]
    assert states == [say(f"results.state.{name}") for name in ("finished", "running", "failed", "finished")]
    assert [row[say("compare.scores.score")] for row in table(page, say("compare.scores.state"))][1:] == ["–"] * 3
    for first, second in ("AB", "BC", "CD"):
        assert say("compare.chance.no_score", first=first, second=second) in texts(page)


def test_a_run_that_has_lost_its_list_of_photos_does_not_take_the_page_down(visit, finished):
    (finished[1].path / "split.json").unlink()
    page = side_by_side(visit, finished)
    assert "has lost its file split" in boxes(page)


def test_a_name_and_a_note_are_kept_and_shown_as_text_only(visit, finished):
    page = side_by_side(visit, finished)
    run = finished[0]
    page.button(key=f"edit_{run.id}").click().run()
    page.text_input(key=f"name_{run.id}").set_value(HOSTILE_NAMES[0])
    page.text_area(key=f"note_{run.id}").set_value("\n".join(HOSTILE_NAMES))
    page.button(key=f"save_{run.id}").click().run()
    assert not page.exception
    assert notes.read(run) == Note(HOSTILE_NAMES[0], "\n".join(HOSTILE_NAMES))
    for step in ("compare", "start"):
        page = visit(step, runs=run.id)
        shown = texts(page)
        for name in HOSTILE_NAMES:
            assert [text for text in shown if name in text] == []
            assert step == "start" or any(panels.plain(name) in text for text in shown)
    assert any(panels.plain(HOSTILE_NAMES[0]) in text for text in shown)


def test_a_star_puts_a_run_first_in_the_list(visit, finished):
    page = side_by_side(visit, finished)
    older = min(finished, key=lambda run: run.id)
    assert page.multiselect[0].options[0].startswith("circle")
    page.button(key=f"star_{older.id}").click().run()
    assert notes.read(older).starred
    assert page.multiselect[0].options[0].startswith("★")
    assert page.button(key=f"star_{older.id}").label == say("compare.card.unstar")
    page.button(key=f"star_{older.id}").click().run()
    assert not notes.read(older).starred


def test_deleting_says_first_what_depends_on_the_run_and_takes_it_out_of_the_address(
    visit, workspace, recorder, finished
):
    run, other = finished
    photos = make_photos(workspace, per_class=6)
    child = finish(make_run(workspace, photos, recorder, replace(TrainConfig(), start_from=run.id)))
    notes.change(child, name="the grafted one")
    page = side_by_side(visit, finished)
    page.button(key=f"end_{run.id}").click().run()
    assert say("compare.delete.dependants", n=1) in texts(page)
    assert any("the grafted one" in text for text in texts(page))
    assert run.path.exists()
    page.button(key=f"sure_{run.id}").click().run()
    assert not page.exception
    assert not run.path.exists()
    assert child.path.exists()
    assert page.query_params["runs"] in (other.id, [other.id])
    assert page.success[0].value == panels.shown("compare.delete.done", name="circle")


def test_a_run_that_works_can_not_be_deleted(visit, workspace, recorder):
    run = make_run(workspace, make_photos(workspace, per_class=6), recorder)
    page = side_by_side(visit, [run])
    page.button(key=f"end_{run.id}").click().run()
    assert page.button(key=f"sure_{run.id}").disabled
    assert say("compare.delete.working") in boxes(page)


# --- words and chart -----------------------------------------------------------------------------------------------


def test_the_difference_of_two_models_is_said_plainly():
    may_be = compared.in_words("A", "B", Pairing(both=30, first_only=5, second_only=3, neither=2))
    assert "On the same 40 test photos, A is right on **5** where B is wrong, and B on **3** where A is wrong" in may_be
    assert "This difference may be chance" in may_be
    assert "p = 0.727" in may_be  # 2 · (1 + 8 + 28 + 56) / 256
    more = compared.in_words("A", "B", Pairing(both=30, first_only=0, second_only=6, neither=0))
    assert "This difference is more than chance" in more
    assert "only 3.12\u00a0% of such tests (p = 0.0312)" in more
    assert "(p < 0.001)" in compared.in_words("A", "B", Pairing(0, 40, 0, 0))
    assert "exactly the same 9 test photos" in compared.in_words("A", "B", Pairing(5, 0, 0, 4))
    assert "(7 are in both)" in compared.in_words("A", "B", NotComparable("other_photos", 7))


def test_the_chart_joins_the_phases_and_reads_no_name_as_markup_or_template():
    points = [
        EpochEnded(phase="head", epoch=1, val_loss=0.9, val_accuracy=0.5, best=True),
        EpochEnded(phase="head", epoch=2, val_loss=None),
        EpochEnded(phase="finetune", epoch=1, val_loss=0.4, val_accuracy=0.75, best=True),
    ]
    runs = [RunCurve("A", "<b>%{y}</b>", points), RunCurve("B", "plain", [])]
    figure = together(runs, "accuracy")
    first, best, second = figure.data
    assert (list(first.x), list(first.y)) == ([1, 3], [0.5, 0.75])
    assert (list(best.x), list(best.y)) == ([3], [0.75])
    assert list(second.x) == []
    assert first.name == "A · &lt;b&gt;%{y}&lt;/b&gt;"
    assert first.hovertemplate == "A: %{y:.1%}<extra></extra>"
    told = together_alt(runs, "loss")
    assert "A, “<b>%{y}</b>”, went from 0.90 to 0.40 over 2 epochs." in told
    assert "B, “plain”, has no epoch with a validation score." in told
    assert together([RunCurve("C", "n" * 90, points)], "loss").data[0].name == f"C · {'n' * 23}…"
