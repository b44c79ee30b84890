"""All classes that may be right, where a person asks for them: conformal prediction sets on Try it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from core.inference.conformal import fewest, prediction_set, quantile
from core.runs import RunDirectory
from core.words import say
from pages.parts import panels

if TYPE_CHECKING:  # it brings torch along
    from core.inference.predictor import Prediction

COVERAGES = (0.9, 0.95)


@dataclass(frozen=True)
class Likely:
    """A promise about photos like those of the validation part, and the number that keeps it."""

    coverage: float
    limit: float

    def of(self, answer: "Prediction") -> tuple[str, ...]:
        """The classes that may be right, the likeliest first.

        A model that is right more often than was asked has no class within the limit where it wavers most. Then the
        likeliest are named that together reach the coverage: more names break no promise, and none would say nothing.
        """
        chances = np.array([chance for _, chance in answer.top])
        places = prediction_set(chances, self.limit)
        if not places:
            places = range(int(np.searchsorted(chances.cumsum(), self.coverage)) + 1)
        return tuple(answer.top[place][0] for place in places if place < len(answer.top))


def choose(run: RunDirectory) -> Likely | None:
    """The switch, how often to be right, and what that means; None where it is off or can't be had."""
    if not st.toggle(say("likely.show"), key="try_sets", help=say("likely.show_help")):
        return None
    st.session_state.setdefault("try_coverage", COVERAGES[0])
    coverage = st.segmented_control(
        say("likely.coverage"), COVERAGES, format_func=panels.percent, key="try_coverage", required=True
    )
    coverage = coverage or COVERAGES[0]
    photos, limit = _limit(str(run.validation), _changed(run.validation), coverage)
    if limit is None:
        text = say("likely.too_few", n=photos, needed=fewest(coverage), share=round(100 * coverage))
        st.info(text, icon=":material/info:")
        return None
    st.caption(say("likely.promise", share=round(100 * coverage), n=photos))
    return Likely(coverage, limit)


def line(likely: Likely | None, answer: "Prediction") -> None:
    """Which classes may be right, in words."""
    if likely is None:
        return
    labels = [panels.plain(label) for label in likely.of(answer)]
    if len(labels) == 1:
        st.markdown(say("likely.one", label=labels[0]))
    else:
        st.markdown(say("likely.several", first=", ".join(labels[:-1]), last=labels[-1]))


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


@st.cache_data(max_entries=16, show_spinner=False)
def _limit(path: str, changed: int, coverage: float) -> tuple[int, float | None]:
    """The validation photos that are known, and the limit they give; None where they are too few."""
    if not changed:
        return 0, None
    kept = json.loads(Path(path).read_text("utf-8"))
    logits, targets = np.asarray(kept["logits"], np.float64), kept["targets"]
    if len(targets) < fewest(coverage):
        return len(targets), None
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return len(targets), quantile(weights / weights.sum(axis=1, keepdims=True), targets, coverage)
