"""Small pieces that hold one thing each: a row of numbers, a card, a page that is still empty."""

from collections.abc import Sequence
from pathlib import Path

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

ASSETS = Path(__file__).parent.parent.parent / "assets"
STAT_WIDTH = 150  # pixels below which numbers wrap to the next line
CARD_WIDTH = 260


def stat_row(stats: Sequence[tuple[str, str, str | None]]) -> None:
    """Numbers side by side as (label, value, help); on a phone they wrap, two to a line."""
    with st.grid("auto", min_column_width=STAT_WIDTH, gap="small"):
        for label, value, explained in stats:
            st.metric(label, value, help=explained, border=True, height="stretch")


def card(name: str, *, chosen: bool = False) -> DeltaGenerator:
    """A bordered box as high as its neighbours; ``chosen`` ones have the border of what is in use (see ``look``)."""
    return st.container(border=True, height="stretch", key=f"card_{'chosen' if chosen else 'open'}_{name}")


def card_grid() -> DeltaGenerator:
    """Cards side by side as far as there is room; on a phone one below the other."""
    return st.grid("auto", min_column_width=CARD_WIDTH, gap="small")


def empty_state(picture: str, text: str, *, key: str) -> DeltaGenerator:
    """Nothing here yet: a drawing from ``assets/``, a sentence, and the returned place for the one action."""
    box = st.container(key=f"empty_{key}", horizontal_alignment="center", gap="medium")
    with box:
        # The drawing only decorates: the sentence beside it says everything.
        st.image(str(ASSETS / f"{picture}.svg"), width=180, alt="")
        st.markdown(text, text_alignment="center")
    return box
