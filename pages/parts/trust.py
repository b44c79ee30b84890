"""How far the model's own certainty can be trusted: its calibration, and what answering only when sure would gain."""

from collections.abc import Sequence

import streamlit as st

from core.inference.calibration import (
    FEWEST_PHOTOS,
    Answering,
    Bin,
    answering,
    calibration_error,
    reliability,
    trade,
)
from core.inference.metrics import Results
from core.words import say
from pages.parts import charts, panels
from pages.parts.plot import plot

USUAL_THRESHOLD = 80  # percent: where the slider stands first


def calibration(results: Results) -> None:
    """Whether "80 % sure" is right eight times of ten, as it is and at the run's temperature."""
    st.subheader(say("judge.calibration.title"), anchor=False)
    st.markdown(say("judge.calibration.how"))
    right = [answer.right for answer in results.answers]
    before = reliability([answer.confidence for answer in results.answers], right)
    after = None
    calibrated = [answer.calibrated for answer in results.answers if answer.calibrated is not None]
    if results.temperature is not None and len(calibrated) == results.total:
        after = reliability(calibrated, right)
    st.markdown(say("judge.calibration.before", error=_points(before), n=results.total))
    if after is not None:
        temperature = f"{results.temperature:.2f}"
        st.markdown(say("judge.calibration.after", error=_points(after), temperature=temperature))
        st.caption(say("judge.calibration.only_here"))
    else:
        st.caption(say("judge.calibration.none", fewest=FEWEST_PHOTOS))
    plot(charts.calibration(before, after), key="calibration", alt=charts.calibration_alt(before, after))
    with st.expander(say("judge.calibration.numbers")):
        st.dataframe(_rows(before, after), hide_index=True, key="calibration_bins")


def _points(bins: Sequence[Bin]) -> str:
    """The calibration error in percentage points, with a decimal: good ones are small."""
    return f"{100 * calibration_error(bins):.1f}"


def _rows(before: Sequence[Bin], after: Sequence[Bin] | None) -> list[dict[str, object]]:
    named = [("before", before), *([("after", after)] if after is not None else [])]
    return [
        {
            say("judge.calibration.which"): say(f"judge.chart.{name}"),
            say("judge.calibration.bin"): f"{panels.percent(one.low)} – {panels.percent(one.high)}",
            say("results.photos"): one.photos,
            say("judge.calibration.certainty"): panels.percent(one.certainty) if one.photos else "–",
            say("judge.calibration.right"): panels.percent(one.accuracy) if one.photos else "–",
            say("judge.calibration.interval"): _between(one) if one.photos else "–",
        }
        for name, bins in named
        for one in bins
    ]


def _between(one: Bin) -> str:
    return f"{panels.percent(one.interval[0])} – {panels.percent(one.interval[1])}"


def threshold(results: Results) -> None:
    """A slider for the least certainty, and what it would do to these test photos."""
    st.subheader(say("judge.threshold.title"), anchor=False)
    st.markdown(say("judge.threshold.how"))
    certainties = [answer.confidence for answer in results.answers]
    right = [answer.right for answer in results.answers]
    least = st.slider(
        say("judge.threshold.label"), 0, 100, USUAL_THRESHOLD, format="%d %%", key="judge_threshold", width=620
    )
    now = answering(certainties, right, least / 100)
    st.markdown(_in_words(now))
    points = trade(certainties, right)
    plot(charts.trade(points, now), key="trade", alt=charts.trade_alt(points, now))


def _in_words(now: Answering) -> str:
    if not now.answered:
        return say("judge.threshold.nothing", n=now.total)
    low, high = (panels.percent(end) for end in now.interval)
    given = say(
        "judge.threshold.given", n=now.total, answered=now.answered, share=panels.percent(now.share), right=now.right,
        accuracy=panels.percent(now.accuracy or 0.0), low=low, high=high,
    )  # fmt: skip
    silent = now.total - now.answered
    return f"{given} {say('judge.threshold.silent', n=silent)}" if silent else given
