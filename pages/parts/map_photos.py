"""The photos behind the map's dots: the one that was opened, and those that were drawn around or filtered."""

from collections import Counter
from typing import Any

import streamlit as st

from core.data.report import PARTS
from core.inference.feature_map import FeatureMap, MapPhoto
from core.inference.metrics import Answer, Results
from core.runs import RunDirectory
from core.words import say
from pages.parts import history, panels, relabel, state

SHOWN = 24  # photos of those that were chosen
SIDE = 480  # pixels of the photo that was opened
TILE_WIDTH = 110
EVERY = -1  # the choice of no class in particular
ANSWERS = ("any", "right", "wrong")


# What is chosen


def _key(run: RunDirectory, made: FeatureMap, name: str) -> str:
    """Another model's map begins with nothing chosen."""
    return f"map_{name}_{run.id}_{made.stamp}"


def chosen(run: RunDirectory, made: FeatureMap) -> tuple[int, ...]:
    """The places of the photos that were chosen."""
    return st.session_state.get(_key(run, made, "chosen"), ())


def choose(run: RunDirectory, made: FeatureMap, points: list[list[Any]]) -> None:
    """What lies inside a lasso, as the browser tells it: places on the map, if nobody has tampered with them."""
    places = {point[0] for point in points if len(point) == 1 and _is_place(point[0], made)}
    st.session_state[_key(run, made, "chosen")] = tuple(sorted(places))


def open_photo(run: RunDirectory, made: FeatureMap, point: list[Any]) -> None:
    """A click on a dot."""
    if len(point) == 1 and _is_place(point[0], made):
        st.session_state[_key(run, made, "open")] = point[0]


def _is_place(value: object, made: FeatureMap) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(made.photos)


# The photo that was opened


def opened(run: RunDirectory, made: FeatureMap, results: Results | None) -> None:
    """A list to open a photo from, the photo itself, and what the model said about it."""
    key = _key(run, made, "open")
    known = st.session_state.get(key)
    places = list(chosen(run, made)) or list(range(len(made.photos)))
    if known is not None and known not in places:
        places.insert(0, known)
    st.session_state.setdefault(key, None)
    place = st.selectbox(
        say("map.open"), places, key=key, format_func=lambda one: _named(made.photos[one]),
        placeholder=say("map.open_none"), help=say("map.open_help"),
    )  # fmt: skip
    if place is None:
        st.caption(say("map.open_how"))
        return
    photo = made.photos[place]
    root = run.split().root_of(photo.part)
    picture = panels.picture(root, photo.path, photo.sha256, SIDE)
    if picture is None:
        st.caption(say("map.no_picture"))
    else:
        st.image(picture, alt=_alt(made, photo))
    st.markdown(_told(made, photo))
    _mend(run, made, photo, root, results)


def _named(photo: MapPhoto) -> str:
    return f"{photo.path} · {say(f'charts.part.{photo.part}')}"


def _alt(made: FeatureMap, photo: MapPhoto) -> str:
    return say("photos.alt", label=made.classes[photo.target], path=photo.path)


def _told(made: FeatureMap, photo: MapPhoto) -> str:
    return panels.shown(
        "map.photo_right" if photo.right else "map.photo_wrong", path=photo.path, label=made.classes[photo.target],
        part=say(f"charts.part.{photo.part}"), said=made.classes[photo.said],
        confidence=panels.percent(photo.confidence),
    )  # fmt: skip


def _mend(run: RunDirectory, made: FeatureMap, photo: MapPhoto, root: str, results: Results | None) -> None:
    """Where the run's photos are a data set still, a wrong label is mended here."""
    found = relabel.find(run, root)
    if found is None:
        st.caption(say("judge.mend.gone"))
        return
    answer = Answer(photo.path, photo.target, ((photo.said, photo.confidence),))
    relabel.controls(found, answer, made.classes[photo.target])
    history.line(found.dataset, relabel.KEY)


# The photos that were chosen together


def selection(run: RunDirectory, made: FeatureMap) -> None:
    """Filters that choose as a lasso does, and the chosen photos with their counts."""
    st.markdown(f"**{say('map.chosen.title')}**")
    st.caption(say("map.chosen.how"))
    _filters(run, made)
    places = chosen(run, made)
    if not places:
        return
    # Mistakes first, the surest of them before all others: those are what a wrong label looks like.
    photos = sorted((made.photos[place] for place in places), key=lambda one: (one.right, -one.confidence, one.path))
    counts = Counter(made.classes[photo.target] for photo in photos)
    told = [say("map.chosen.count", label=panels.plain(label), n=n) for label, n in counts.most_common(SHOWN)]
    wrong = sum(not photo.right for photo in photos)
    st.markdown(say("map.chosen.n", n=len(photos)) + " " + say("map.chosen.wrong", n=wrong))
    st.caption(" · ".join(told))
    _tiles(run, made, photos[:SHOWN])
    if len(photos) > SHOWN:
        st.caption(say("map.chosen.first", shown=SHOWN, n=len(photos)))
    _to_the_data_set(run)


def _filters(run: RunDirectory, made: FeatureMap) -> None:
    def act() -> None:
        label = st.session_state["map_filter_class"]
        part, answer = st.session_state["map_filter_part"], st.session_state["map_filter_answer"]
        st.session_state[_key(run, made, "chosen")] = tuple(
            place
            for place, photo in enumerate(made.photos)
            if label in (EVERY, photo.target)
            and part in ("any", photo.part)
            and answer in ("any", "right" if photo.right else "wrong")
        )

    with st.container(horizontal=True, gap="small", vertical_alignment="bottom"):
        st.selectbox(
            say("map.filter.class"), [EVERY, *range(len(made.classes))], key="map_filter_class",
            format_func=lambda one: say("map.filter.every_class") if one == EVERY else made.classes[one],
        )  # fmt: skip
        st.selectbox(
            say("map.filter.part"), ["any", *PARTS], key="map_filter_part",
            format_func=lambda one: say("map.filter.every_part") if one == "any" else say(f"charts.part.{one}"),
        )  # fmt: skip
        st.selectbox(
            say("map.filter.answer"), ANSWERS, key="map_filter_answer",
            format_func=lambda one: say(f"map.filter.answers.{one}"),
        )  # fmt: skip
        st.button(say("map.filter.choose"), key="map_choose", on_click=act, icon=":material/checklist:")
        if chosen(run, made):
            st.button(
                say("map.filter.none"),
                key="map_none",
                on_click=choose,
                args=(run, made, []),
                icon=":material/deselect:",
            )


def _tiles(run: RunDirectory, made: FeatureMap, photos: list[MapPhoto]) -> None:
    split = run.split()
    pictures: list[bytes] = []
    captions: list[str] = []
    alts: list[str] = []
    for photo in photos:
        picture = panels.picture(split.root_of(photo.part), photo.path, photo.sha256)
        if picture is not None:
            pictures.append(picture)
            key = "map.tile_right" if photo.right else "map.tile_wrong"
            names = {"label": made.classes[photo.target], "said": made.classes[photo.said]}
            captions.append(panels.shown(key, **names))
            alts.append(_alt(made, photo))
    if pictures:
        st.image(pictures, caption=captions, width=TILE_WIDTH, alt=alts)
    if len(pictures) < len(photos):
        st.caption(say("map.chosen.gone", n=len(photos) - len(pictures)))


def _to_the_data_set(run: RunDirectory) -> None:
    found = relabel.find(run, run.split().root)
    if found is not None:
        st.page_link(
            st.session_state["pages"]["photos"], label=say("map.chosen.mend"), icon=":material/arrow_forward:",
            query_params={state.DATASET: found.dataset.id, state.RUN: run.id},
        )  # fmt: skip
