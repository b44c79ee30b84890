"""Charts that grow each second, a confusion matrix that is clicked, and a network whose cut moves."""

import math
import time

import streamlit as st

from core.events import EpochEnded
from pages.parts import charts, look
from pages.parts.network import network_picture
from pages.parts.plot import plot

STAGES = [("stage1", 1824, (16, 112, 112)), ("stage2", 13968, (24, 56, 56)), ("top", 412160, (1280,))]
MATRIX = [[8, 2, 0], [1, 9, 0], [0, 3, 7]]
CLASSES = ("ants", "bees", "<b>wasps</b>")


def epochs(count: int) -> list[EpochEnded]:
    losses = [math.exp(-epoch / 9) for epoch in range(1, count + 1)]
    return [
        EpochEnded(
            phase="head", epoch=number, of=90, train_loss=loss, train_accuracy=1 - loss / 2,
            val_loss=loss + 0.1, val_accuracy=0.9 - loss / 2, best=True,
        )
        for number, loss in enumerate(losses, start=1)
    ]  # fmt: skip


def remember(name: str, value: object) -> None:
    st.session_state[name] = value


@st.fragment(run_every=1.0 if st.query_params.get("live") else None)
def live() -> None:
    began = st.session_state.setdefault("began", time.monotonic())
    points = epochs(5 + int(time.monotonic() - began))
    plot(charts.curves(points, "loss"), key="loss", alt=charts.curves_alt(points, "loss"))
    st.code(f"epochs={len(points)}", language=None)


st.set_page_config(page_title="Drawing")
look.apply()
st.title("Drawing")
live()
if not st.query_params.get("live"):
    plot(
        charts.confusion(MATRIX, CLASSES), key="matrix", alt=charts.confusion_alt(MATRIX, CLASSES),
        on_click=lambda cell: remember("cell", cell),
    )  # fmt: skip
    st.code(f"cell={st.session_state.get('cell')}", language=None)
    frozen = st.session_state.get("frozen", 3)
    network_picture(
        STAGES, frozen, key="shoot", interactive=True, classes=3, on_change=lambda depth: remember("frozen", depth)
    )
    st.code(f"frozen={frozen}", language=None)
    network_picture(STAGES, 1, key="still", interactive=False)
    network_picture(STAGES, 0, copied=2, key="seedling", interactive=True)
    if st.toggle("Charts", value=True, key="shown"):
        answer = (("bees", 0.94), ("ants", 0.06))
        plot(charts.probabilities(answer), key="chances", alt=charts.probabilities_alt(answer))
