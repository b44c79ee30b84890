"""A run's state as a page shows it: words, numbers, curves. Drawn again each second from the run's events."""

import streamlit as st

from core.errors import CoreError
from core.runs import RunDirectory, RunState
from core.words import say
from pages.parts import charts, panels
from pages.parts.cards import stat_row
from pages.parts.plot import plot

ICONS = {
    "starting": ":material/hourglass_top:",
    "running": ":material/autorenew:",
    "finished": ":material/check_circle:",
    "stopped": ":material/stop_circle:",
    "failed": ":material/error:",
    "lost": ":material/heart_broken:",
}
LONGEST_CURVE = 600  # points a series that a chart is sent


def status(known: RunState) -> None:
    """One line in words, and how far the current phase is."""
    words = panels.ending(known)
    left = known.seconds_left
    if known.open:
        text = f"{words} · {say('train.left', time=panels.duration(left))}" if left is not None else words
        st.progress(known.share_done, text=text)
    elif known.status in ("failed", "lost"):
        st.error(words, icon=ICONS[known.status])
    elif not _diverged(known):
        st.success(words, icon=ICONS[known.status])
    elif not any(notice.key.endswith(".diverged") for notice in known.notices):
        st.warning(words, icon=ICONS["failed"])  # otherwise the notice says it, and which epoch was kept
    for notice in known.notices:
        st.warning(panels.shown(notice.key, **dict(notice.values or {})), icon=":material/warning:")


def _diverged(known: RunState) -> bool:
    return known.ended is not None and known.ended.reason == "diverged"


def facts(known: RunState) -> None:
    """The numbers of the moment; once it is over, how long it took instead of how fast it is."""
    last, best, unknown = (known.epochs[-1] if known.epochs else None), known.best, "–"
    device = known.started.device_name if known.started else ""
    memory = f"{known.memory_megabytes / 1000:.1f} GB" if known.memory_megabytes else unknown
    accuracy = panels.percent(best.val_accuracy) if best and best.val_accuracy is not None else unknown
    rows = [
        (say("train.epoch"), f"{last.epoch} / {last.of}" if last else unknown, say("train.epoch_help")),
        (say("train.best"), accuracy, say("train.best_help")),
        (say("train.speed"), _speed(known) or unknown, say("train.speed_help")),
        (say("train.memory"), memory, say("train.memory_help", device=device)),
    ]
    if known.seconds:
        rows[2] = (say("train.took"), panels.duration(known.seconds), say("train.took_help"))
    stat_row(rows)


def _speed(known: RunState) -> str:
    progress = known.progress
    if progress is not None and progress.phase != "weights" and progress.per_second:
        return f"{progress.per_second:,.0f}"
    return f"{known.epochs[-1].photos_per_second:,.0f}" if known.epochs else ""


def curves(known: RunState, loss: str) -> None:
    """Loss (of that name) and accuracy over the epochs; zoom and legend stay while points arrive."""
    if not known.epochs:
        return
    points = charts.thinned(known.epochs, LONGEST_CURVE)
    for metric in ("loss", "accuracy"):
        figure = charts.curves(points, metric, loss)
        plot(figure, key=f"curve_{metric}", alt=charts.curves_alt(points, metric, loss), height=300)


def problems(run: RunDirectory, known: RunState) -> None:
    """Why it failed, for the user; and the end of the worker's log, for whoever helps them."""
    if known.failed is not None and known.failed.error is not None:
        panels.error_box(CoreError.from_json(known.failed.error))
    elif known.failed is not None:
        panels.error_box(CoreError("runs.ours", detail=known.failed.detail))
    if known.status in ("failed", "lost"):
        with st.expander(say("train.log"), icon=":material/terminal:", expanded=known.status == "lost"):
            st.code(run.log_tail() or say("train.log_empty"), language=None)


def record(run: RunDirectory, known: RunState) -> None:
    """What made this run, so that it can be made again."""
    with st.expander(say("train.record"), icon=":material/receipt_long:"):
        rows = {"run": run.id, **{k: str(v) for k, v in run.info().config.to_json().items() if k != "format"}}
        if known.started:
            rows |= {f"{name} version": text for name, text in (known.started.versions or {}).items()}
        if known.weights:
            rows |= {"weights sha256": known.weights.sha256, "weights from": known.weights.source}
        if known.ended:
            rows |= {f"seconds: {phase}": f"{seconds:.2f}" for phase, seconds in (known.ended.seconds or {}).items()}
        rows["photos' fingerprint"] = run.info().fingerprint
        st.dataframe([{"": name, " ": value} for name, value in rows.items()], hide_index=True, key="record")
