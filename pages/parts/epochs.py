"""Epoch by epoch: the same few validation photos, what each epoch took them for, and the matrix as it forms.

While a run trains, its newest epoch; afterwards any epoch, by a slider that also plays. One element of our own keeps
its nodes and pictures, so that nothing flickers: Streamlit would send the photos again at each look.
"""

import base64
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st

from core.data.report import Sample
from core.events import EpochEnded, Phase
from core.inference.epochs import Epochs, WatchedEpoch, WatchedPhotos
from core.runs import RunDirectory, RunState
from core.words import say
from pages.parts import panels, state
from pages.parts.palette import DARK, LIGHT
from pages.server.routes import PREFIX
from pages.server.thumbs import photos_token

HERE = Path(__file__).parent
READERS = "epochs_readers"  # of this session, by run
PICTURE_SIDE = 160  # pixels, of those that no route serves
COLOURS = ("right", "wrong", "muted", "line", "accent", "background")
MARKUP = """
<section class="epochs">
  <div class="bar" role="group" hidden>
    <button type="button" class="play"><svg viewBox="0 0 24 24" aria-hidden="true">
      <path class="going" d="M7 4l13 8-13 8z"/><path class="still" d="M6 5h12v14H6z"/></svg><span></span></button>
    <div class="track"><div class="marks" aria-hidden="true"></div><input type="range" min="0" step="1"></div>
    <button type="button" class="to-best"></button>
  </div>
  <p class="where"></p>
  <div class="both">
    <ul class="photos"></ul>
    <div class="taken"><p class="axes"></p><div class="scroller"></div><p class="mistakes"></p></div>
  </div>
</section>
"""


def live(run: RunDirectory, known: RunState) -> None:
    """The newest epoch of a run that trains; nothing before there is one."""
    record = _record_of(run)
    record.look()
    newest, said = _newest(record, known.epochs)
    if newest is None or said is None or record.photos is None:
        return
    st.subheader(say("epochs.title"), anchor=False)
    st.caption(say("epochs.how_live"))
    _draw(run, record.photos, [newest], {(newest.phase, newest.epoch): _row(record.photos, said)}, live=True)


def over(run: RunDirectory, known: RunState) -> None:
    """Every epoch of a run that has ended, to look at one by one."""
    told = [epoch for epoch in known.epochs if epoch.val_accuracy is not None]
    if not told:
        return  # without validation photos nobody was asked
    st.subheader(say("epochs.title"), anchor=False)
    written = run.judged.stat() if run.judged.exists() else None
    photos, rows = _rows(str(run.path), written.st_size, written.st_mtime_ns) if written else (None, {})
    told = [epoch for epoch in told if (epoch.phase, epoch.epoch) in rows]
    if photos is None or not told:
        st.caption(say("epochs.older"))
        return
    st.markdown(say("epochs.how"))
    _draw(run, photos, told, rows, live=False)
    if len(photos.samples) < photos.of:
        st.caption(say("epochs.sample", n=len(photos.samples), of=photos.of))
    if "refit" in (known.phases or {}):
        st.caption(say("epochs.refit"))
    if run.metrics.exists():
        _leads("results", say("epochs.score"))


def link(run: RunDirectory) -> None:
    """From the results of a run to its epochs."""
    if run.judged.exists():
        _leads("train", say("epochs.link"))


def _leads(step: str, label: str) -> None:
    page = st.session_state["pages"][step]
    st.page_link(page, label=label, icon=":material/arrow_forward:", query_params=state.place())


def _record_of(run: RunDirectory) -> Epochs:
    """One reader a session and run, so that each look reads only what is new."""
    readers: dict[str, Epochs] = st.session_state.setdefault(READERS, {})
    return readers.setdefault(run.id, Epochs(run))


def _newest(record: Epochs, told: Sequence[EpochEnded]) -> tuple[EpochEnded | None, WatchedEpoch | None]:
    """The last epoch that was told of; its line is written before that."""
    last = told[-1] if told else None
    return last, record.read(last.phase, last.epoch) if last else None


@st.cache_data(max_entries=4, show_spinner=False)
def _rows(
    path: str, size: int, changed: int
) -> tuple[WatchedPhotos | None, Mapping[tuple[Phase, int], Mapping[str, object]]]:
    """The whole record: thousands of lines in a long run, read once for all who look."""
    del size, changed  # part of the cache's key
    record = Epochs(RunDirectory(Path(path)))
    places = record.look()
    if record.photos is None:
        return None, {}
    said = {place: record.read(*place) for place in places}
    return record.photos, {place: _row(record.photos, one) for place, one in said.items() if one is not None}


def _row(photos: WatchedPhotos, said: WatchedEpoch) -> Mapping[str, object]:
    """An epoch as the browser draws it: the cells of its matrix, and the answers about the few photos."""
    cells = [[true, called, count] for (true, called), count in sorted(said.confusion(photos).items())]
    return {"cells": cells, "answers": [[said.said[place], said.sure[place]] for place in photos.shown]}


def _draw(
    run: RunDirectory,
    photos: WatchedPhotos,
    told: Sequence[EpochEnded],
    rows: Mapping[tuple[Phase, int], Mapping[str, object]],
    *,
    live: bool,
) -> None:
    lengths = {phase: sum(epoch.phase == phase for epoch in told) for phase in ("head", "finetune")}
    best = max((place for place, epoch in enumerate(told) if epoch.best), default=-1)
    _element()(
        key="epochs_live" if live else "epochs",
        data={
            "key": run.id,
            "live": live,
            "classes": list(photos.classes),
            "photos": _photos(run, [photos.samples[place] for place in photos.shown]),
            "epochs": [
                {"phase": one.phase, "epoch": one.epoch, "of": lengths[one.phase], **rows[one.phase, one.epoch]}
                for one in told
            ],
            "best": best,
            "text": _texts(),
        },
    )


def _photos(run: RunDirectory, samples: Sequence[Sample]) -> list[dict[str, object]]:
    """Name, class and address of each. A data set's come by a route; others travel with the page, small as they are."""
    identifier = str(run.info().dataset.get("id") or "")
    if identifier:
        token = photos_token(state.workspace(), identifier)
        start = f"{PREFIX}/thumbs/{identifier}/"
        sources: Sequence[str] = [f"{start}{sample.sha256}?token={token}&side=" for sample in samples]
    else:
        sources = _pictures(str(run.path), tuple(sample.path for sample in samples))
    return [
        {"name": sample.path, "target": sample.target, "source": source}
        for sample, source in zip(samples, sources, strict=True)
    ]


@st.cache_data(max_entries=4, show_spinner=False)
def _pictures(path: str, names: tuple[str, ...]) -> list[str]:
    """Of a run on a folder; "" for a photo that is gone."""
    divided = RunDirectory(Path(path)).split()
    hashes = {sample.path: sample.sha256 for sample in divided.val}
    found = [panels.picture(divided.root_of("val"), name, hashes[name], PICTURE_SIDE) for name in names]
    return [f"data:image/jpeg;base64,{base64.b64encode(one).decode()}" if one else "" for one in found]


@cache
def _element() -> Any:
    return st.components.v2.component(
        "graft_epochs",
        html=MARKUP,
        css=f"{_colours()}\n{(HERE / 'epochs.css').read_text('utf-8')}",
        js="\n".join((HERE / name).read_text("utf-8") for name in ("epochs_draw.js", "epochs.js")),
    )


def _colours() -> str:
    """The palette as the element's own names, light and dark; Streamlit sets ``color-scheme``."""
    pairs = {name: (getattr(LIGHT, name), getattr(DARK, name)) for name in COLOURS}
    for place, name in enumerate(("none", "half", "all")):
        pairs[f"share-{name}"] = LIGHT.matrix[place], DARK.matrix[place]
    for place, name in enumerate(("low", "high")):
        pairs[f"text-{name}"] = LIGHT.matrix_text[place], DARK.matrix_text[place]
    lines = "".join(f"\n  --{name}: light-dark({light}, {dark});" for name, (light, dark) in pairs.items())
    return f".epochs {{{lines}\n}}"


def _texts() -> dict[str, object]:
    """Every visible string of the element, as patterns for its script to fill."""
    plain = (
        "label", "play", "stop", "best", "slider", "mark_best", "mark_head", "mark_finetune", "is_best", "right",
        "wrong", "photos", "matrix", "none", "scroll", "gone",
    )  # fmt: skip
    places = ("label", "value", "name", "true", "said", "n", "pairs", "epoch", "of", "right")
    left_open = {name: f"{{{name}}}" for name in places}
    filled = (
        "shows",
        "percent",
        "photo",
        "cell",
        "most",
        "pair",
        "live.head",
        "live.finetune",
        "at.head",
        "at.finetune",
    )
    texts: dict[str, object] = {name: say(f"epochs.element.{name}") for name in plain}
    texts |= {name: say(f"epochs.element.{name}", **left_open) for name in filled}
    both = [say("epochs.element.accuracy", **{**left_open, "n": n}) for n in (1, "{n}")]
    return {**texts, "accuracy": dict(zip(("one", "other"), both, strict=True))}
