"""The map on Look inside: drawn, stopped and failed; what its controls show, and what is chosen by mouse or by list."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.data.datasets import Dataset
from core.data.report import PARTS
from core.data.store import read_report
from core.errors import DataError
from core.inference import map_worker
from core.inference.feature_map import FeatureMap, Layout, MapPhoto, Neighbours
from core.inference.map_folder import MapFolder
from core.inference.map_worker import Drawing
from core.runs import RunDirectory
from core.words import say
from core.workspace import Workspace
from pages.parts import map_photos, panels
from pages.parts.charts import feature_map as chart
from pages.parts.palette import swaps
from tests.app.conftest import FRAME, SECONDS, Recorder, finish, make_photos, make_run
from tests.app.test_pages import HOSTILE_NAMES, boxes, texts


def drawn_map(run: RunDirectory, **changes: Any) -> FeatureMap:
    """A map of all of a run's photos, a class in each corner; test photos are all taken for the first class."""
    split = run.split()
    random = np.random.default_rng(0)
    photos = tuple(
        MapPhoto(sample.path, sample.sha256, part, sample.target, 0 if part == "test" else sample.target, 0.9)
        for part in PARTS
        for sample in split.part(part)
    )
    spots = tuple(
        (round(float(photo.target % 3 - 1 + random.normal(0, 0.1)), 4), float(photo.target // 3)) for photo in photos
    )
    near = Neighbours("test", 2, len(split.test), 0.33)
    before = Layout(spots, 0.4, tuple((y, x) for x, y in spots), near)
    after = Layout(spots, 0.8, spots, replace(near, same=3))
    stamp = MapFolder(run).stamp()
    made = FeatureMap(stamp, split.classes, photos, len(photos), 0, "head", before, after)
    return replace(made, **changes)


def write(run: RunDirectory, **changes: Any) -> FeatureMap:
    folder = MapFolder(run)
    folder.path.mkdir(exist_ok=True)
    made = drawn_map(run, **changes)
    folder.write(made)
    return made


@pytest.fixture
def photos(workspace: Workspace) -> Dataset:
    return make_photos(workspace)


@pytest.fixture
def run(workspace: Workspace, photos: Dataset, recorder: Recorder) -> RunDirectory:
    return finish(make_run(workspace, photos, recorder))


@pytest.fixture
def look() -> Callable[[RunDirectory], AppTest]:
    """The page as it stands after "All photos" was chosen."""

    def open_page(run: RunDirectory) -> AppTest:
        page = AppTest.from_file(str(FRAME), default_timeout=SECONDS)
        page.query_params["run"] = run.id
        page.session_state["why_way"] = "all"
        page.switch_page("why.py")
        return page.run()

    return open_page


Look = Callable[[RunDirectory], AppTest]


def told(page: AppTest) -> str:
    assert not page.exception
    return "\n".join(texts(page))


def figure(page: AppTest) -> dict[str, Any]:
    """What plotly is given."""
    (element,) = [node for node in page.get("bidi_component") if "graft_plot" in str(node.proto)]
    return json.loads(json.loads(element.proto.json)["figure"])


def choose(page: AppTest, run: RunDirectory, made: FeatureMap, *places: int) -> AppTest:
    """As a lasso does."""
    page.session_state[f"map_chosen_{run.id}_{made.stamp}"] = places
    return page.run()


def test_the_map_is_drawn_when_it_is_asked_for_and_not_before(
    look: Look, run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[MapFolder] = []
    monkeypatch.setattr(map_worker, "start", lambda folder: asked.append(folder) or write(folder.run))
    page = look(run)
    assert say("map.draw_how", most="3,000") in told(page)
    assert asked == []
    page.button(key="map_draw").click().run()
    assert asked == [MapFolder(run)]
    assert say("map.kind.head") in told(page)
    assert [one.key for one in page.segmented_control if one.key.startswith("map_")] == [
        "map_method", "map_moment", "map_colour",
    ]  # fmt: skip


@pytest.mark.slow
def test_while_it_is_drawn_there_is_a_bar_and_a_way_to_stop(
    look: Look, run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in ("load", "before", "after", "map"):
        monkeypatch.setattr(map_worker, "watch", lambda folder, step=step: Drawing("working", step, 2, 24))
        page = look(run)
        assert not page.exception
        assert not [one for one in page.button if one.key == "map_draw"]
    MapFolder(run).path.mkdir()
    page.button(key="map_stop").click().run()
    assert MapFolder(run).stop.exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("known", "words", "label"),
    [
        (Drawing("stopped"), "map.stopped", "map.go_on"),
        (Drawing("lost", log="Killed"), "map.lost", "map.again"),
        (Drawing("failed", error=DataError("map.no_photos")), "map.no_photos.message", "map.again"),
    ],
)
def test_what_ended_it_is_said_beside_the_way_to_try_again(
    look: Look, run: RunDirectory, monkeypatch: pytest.MonkeyPatch, known: Drawing, words: str, label: str
) -> None:
    monkeypatch.setattr(map_worker, "watch", lambda folder: known)
    page = look(run)
    assert not page.exception
    assert say(words) in boxes(page)
    assert page.button(key="map_draw").label == say(label)


def test_a_model_that_came_without_its_photos_says_that_there_is_nothing_to_draw(look: Look, run: RunDirectory) -> None:
    nothing = replace(run.split(), train=(), val=(), test=())
    (run.path / "split.json").write_text(json.dumps(nothing.to_json()))
    page = look(run)
    assert say("map.without_photos") in told(page)
    assert not [one for one in page.button if one.key == "map_draw"]


@pytest.mark.slow
def test_the_share_of_neighbours_is_told_with_its_interval_before_and_after(look: Look, run: RunDirectory) -> None:
    made = write(run)
    words = told(look(run))
    for moment, layout in (("before", made.before), ("after", made.after)):
        assert layout is not None
        assert layout.neighbours is not None
        low, high = layout.neighbours.interval
        text = say(
            f"map.near.{moment}", part="test", n=layout.neighbours.total, same=layout.neighbours.same,
            share=panels.percent(layout.neighbours.share), low=panels.percent(low), high=panels.percent(high),
        )  # fmt: skip
        assert text in words
    assert say("map.caution.tsne") in words


@pytest.mark.slow
def test_the_controls_choose_the_map_the_moment_and_what_colours_tell(look: Look, run: RunDirectory) -> None:
    made = write(run)
    page = look(run)
    names = [trace["name"] for trace in figure(page)["data"]]
    assert names == list(made.classes)
    page.segmented_control(key="map_moment").set_value("before").run()
    assert made.before is not None
    first = figure(page)["data"][0]
    assert list(zip(first["x"], first["y"], strict=True)) == [
        made.before.points("tsne")[place] for (place,) in first["customdata"]
    ]
    page.segmented_control(key="map_method").set_value("pca").run()
    assert say("map.caution.pca", share=panels.percent(0.4)) in told(page)
    page.segmented_control(key="map_colour").set_value("part").run()
    assert [trace["name"] for trace in figure(page)["data"]] == ["training", "validation", "test"]
    page.segmented_control(key="map_colour").set_value("answer").run()
    wrong = sum(not photo.right for photo in made.photos)
    assert [len(trace["x"]) for trace in figure(page)["data"]] == [len(made.photos) - wrong, wrong]


def test_a_lasso_shows_its_photos_mistakes_first_with_counts_by_class(look: Look, run: RunDirectory) -> None:
    made = write(run)
    mistakes = [place for place, photo in enumerate(made.photos) if not photo.right]
    page = choose(look(run), run, made, 0, *mistakes[:2])
    words = told(page)
    assert say("map.chosen.n", n=3) in words
    assert say("map.chosen.wrong", n=2) in words
    wrong = made.photos[mistakes[0]]
    first = say("map.tile_wrong", label=made.classes[wrong.target], said=made.classes[wrong.said])
    captions = [image.caption for node in page.get("image") for image in node.proto.imgs]
    assert captions[0] == first
    assert len(captions) == 3
    drawn = figure(page)["data"]
    chosen = {trace["customdata"][place][0] for trace in drawn for place in trace["selectedpoints"]}
    assert chosen == {0, *mistakes[:2]}
    page.button(key="map_none").click().run()
    assert all("selectedpoints" not in trace for trace in figure(page)["data"])


def test_filters_choose_what_a_lasso_would(look: Look, run: RunDirectory) -> None:
    made = write(run)
    page = look(run)
    page.selectbox(key="map_filter_class").set_value(1).run()
    page.selectbox(key="map_filter_part").set_value("test").run()
    page.selectbox(key="map_filter_answer").set_value("wrong").run()
    page.button(key="map_choose").click().run()
    expected = [p for p in made.photos if p.target == 1 and p.part == "test" and not p.right]
    assert len(expected) > 0
    assert say("map.chosen.n", n=len(expected)) in told(page)


def test_what_a_browser_makes_up_chooses_and_opens_nothing(look: Look, run: RunDirectory) -> None:
    made = write(run)
    for point in ([-1], [len(made.photos)], ["0"], [True], [0, 1], [None], [0.0], []):
        map_photos.open_photo(run, made, point)
        map_photos.choose(run, made, [point])
        assert map_photos.chosen(run, made) == ()
    map_photos.choose(run, made, [[2], [1], [2]])
    assert map_photos.chosen(run, made) == (1, 2)


def test_an_opened_photo_is_shown_with_what_the_model_says_and_its_label_can_be_mended(
    look: Look, run: RunDirectory, photos: Dataset
) -> None:
    made = write(run)
    place, photo = next((place, one) for place, one in enumerate(made.photos) if not one.right)
    page = look(run)
    page.selectbox(key=f"map_open_{run.id}_{made.stamp}").set_value(place).run()
    names = {"label": made.classes[photo.target], "said": made.classes[photo.said], "part": "test"}
    assert panels.shown("map.photo_wrong", path=photo.path, confidence="90\u00a0%", **names) in told(page)
    assert len(page.get("image")) == 1
    (box,) = [box for box in page.selectbox if str(box.key).startswith("judge_mend_")]
    box.set_value(made.classes[0]).run()
    (button,) = [one for one in page.button if str(one.key).startswith("judge_mend_do_")]
    button.click().run()
    assert not page.exception
    labels = {one.path: one.label for one in read_report(photos).photos}
    assert labels[photo.path] == made.classes[0]


@pytest.mark.slow
def test_photos_that_are_gone_leave_their_dots_and_say_so(look: Look, run: RunDirectory) -> None:
    made = write(run)
    for photo in made.photos:
        Path(run.split().root, photo.path).unlink()
    page = look(run)
    page.selectbox(key=f"map_open_{run.id}_{made.stamp}").set_value(0).run()
    assert say("map.no_picture") in told(page)
    page = choose(page, run, made, 0, 1, 2)
    assert say("map.chosen.gone", n=3) in told(page)


@pytest.mark.slow
def test_without_its_beginning_and_with_few_photos_the_page_says_so(look: Look, run: RunDirectory) -> None:
    whole = drawn_map(run)
    after = replace(whole.after, tsne=None, neighbours=None)
    write(run, before=None, after=after, of=5000, unreadable=2)
    page = look(run)
    words = told(page)
    for key in ("map.kind.only_after", "map.near.none"):
        assert say(key) in words
    assert say("map.drawn", n=len(whole.photos), of="5,000") in words
    assert say("map.unreadable", n=2) in words
    assert [one.key for one in page.segmented_control if one.key.startswith("map_")] == ["map_colour"]


@pytest.mark.slow
def test_of_300_classes_the_largest_have_a_colour_and_others_can_be_chosen(look: Look, run: RunDirectory) -> None:
    whole = drawn_map(run)
    photos = tuple(replace(photo, target=place % 299) for place, photo in enumerate(whole.photos))
    write(run, photos=photos, classes=tuple(f"class {number}" for number in range(300)))
    page = look(run)
    assert not page.exception
    names = [trace["name"] for trace in figure(page)["data"]]
    assert names == [say("map.chart.others"), *(f"class {number}" for number in range(12))]
    page.multiselect(key="map_shown").set_value([7, 250]).run()
    assert [trace["name"] for trace in figure(page)["data"]] == [say("map.chart.others"), "class 7", "class 250"]


@pytest.mark.slow
def test_names_are_shown_and_never_read_as_markup(look: Look, run: RunDirectory) -> None:
    whole = drawn_map(run)
    names = HOSTILE_NAMES[: len(whole.classes)]
    photos = tuple(replace(photo, path=f"<b>x</b>/{photo.path}") for photo in whole.photos)
    made = write(run, classes=names, photos=photos)
    page = look(run)
    page.selectbox(key=f"map_open_{run.id}_{made.stamp}").set_value(0).run()
    page = choose(page, run, made, *range(5))
    words = told(page)
    assert not [name for name in names if name in words]
    assert "<b>x</b>" not in words
    hovers = [text for trace in figure(page)["data"] for text in trace["hovertext"]]
    assert all("<b>" not in text for text in hovers)


def test_groups_differ_in_shape_as_well_as_in_colour_and_each_colour_has_a_dark_partner(run: RunDirectory) -> None:
    made = drawn_map(run)
    classes = [str(number) for number in range(12)]
    photos = tuple(replace(photo, target=place % 14) for place, photo in enumerate(made.photos))
    for groups in (
        chart.by_class(photos, [*classes, "a", "b"], range(12)),
        chart.by_part(photos),
        chart.by_answer(made.photos),
    ):
        assert len({group.symbol for group in groups}) == len(groups)
        assert {group.colour for group in groups} <= set(swaps())
        assert sorted(place for group in groups for place in group.places) == list(range(len(photos)))


def test_plotly_takes_every_property_of_the_map(run: RunDirectory) -> None:
    import plotly.graph_objects as go

    made = drawn_map(run)
    groups = chart.by_class(made.photos, made.classes, [0, 1])
    told_of = [chart.hover(photo, made.classes) for photo in made.photos]
    shown = chart.photo_map(made.after.pca, groups, told_of, title="t", reach=2.0, chosen={1, 2}, view="pca")
    go.Figure(shown.to_dict())  # raises where plotly knows no such property
    alt = chart.photo_map_alt(groups, title="t", chosen=2)
    assert f"Map of {len(made.photos)} photos" in alt
    assert "2 are chosen" in alt
