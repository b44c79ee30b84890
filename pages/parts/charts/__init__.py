"""Core's values to plotly figures, each with a sentence that says what it shows. Pure; imports no Streamlit.

Figures are drawn in the light theme's colours; the element in ``plot`` translates them when the page is dark.
plotly is imported by the first figure (35 ms, and 105 ms for its first object), never by importing a page.
"""

from pages.parts.charts.answers import (
    confusion,
    confusion_alt,
    per_class_bars,
    per_class_bars_alt,
    probabilities,
    probabilities_alt,
)
from pages.parts.charts.curves import curves, curves_alt, thinned
from pages.parts.charts.doctor import Round, fact_by_class, fact_by_class_alt, rounds, rounds_alt
from pages.parts.charts.frame import listed
from pages.parts.charts.judge import calibration, calibration_alt, trade, trade_alt
from pages.parts.charts.photos import class_counts, class_counts_alt, part_counts

__all__ = [
    "Round",
    "calibration",
    "calibration_alt",
    "class_counts",
    "class_counts_alt",
    "confusion",
    "confusion_alt",
    "curves",
    "curves_alt",
    "fact_by_class",
    "fact_by_class_alt",
    "listed",
    "part_counts",
    "per_class_bars",
    "per_class_bars_alt",
    "probabilities",
    "probabilities_alt",
    "rounds",
    "rounds_alt",
    "thinned",
    "trade",
    "trade_alt",
]
