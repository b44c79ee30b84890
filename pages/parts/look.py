"""The one stylesheet: what the theme in ``.streamlit/config.toml`` can't say. Written here, no user's text in it."""

import streamlit as st

from pages.parts.palette import DARK, LIGHT, Theme

PAGE_WIDTH = 1080  # pixels: a chart with its axes, or about 70 characters beside a picture
MEASURE = 72  # characters a line of running text


def apply() -> None:
    """Put the stylesheet into the page. It holds for every page, so the frame calls it once a run."""
    st.html(f"<style>{STYLE}</style>")


def _both(role: str) -> str:
    """A colour by its role; Streamlit sets ``color-scheme``, so it follows the theme without a rerun."""

    def of(theme: Theme) -> str:
        return str(getattr(theme, role))

    return f"light-dark({of(LIGHT)}, {of(DARK)})"


STYLE = f"""
.stMainBlockContainer {{ max-width: {PAGE_WIDTH}px; }}
.stMarkdown p, .stMarkdown li {{ max-width: {MEASURE}ch; text-wrap: pretty; }}
h1, h2, h3 {{ letter-spacing: -0.01em; text-wrap: balance; }}

/* Keyboard: one ring for everything that can have the focus. */
.stApp :is(a, button, input, textarea, summary, [tabindex]):focus-visible {{
  outline: 3px solid {_both("accent")};
  outline-offset: 2px;
  border-radius: 6px;
}}

/* Streamlit's faded captions have 3.9:1 on a card, its chosen option 3.8:1 at night. */
.stApp [data-testid="stCaptionContainer"] {{ color: {_both("muted")}; opacity: 1; }}
.stApp :is([data-selected="true"], [role="tab"][aria-selected="true"], [data-testid="stSliderThumbValue"]),
.stApp button[data-selected="true"] :is(p, span) {{
  color: {_both("accent")};
}}

/* The steps grow along a stem. */
.st-key-steps {{ position: relative; }}
.st-key-steps::before {{
  content: "";
  position: absolute;
  inset: 1.1rem auto 1.1rem 14.5px;
  width: 3px;
  border-radius: 2px;
  background: linear-gradient({_both("trainable")}, {_both("accent")} 30%);
  opacity: 0.55;
}}
.st-key-steps a {{ position: relative; padding-block: 0.45rem; }}
.st-key-steps a > span:first-child {{
  background: light-dark({LIGHT.surface}, {DARK.surface});
  border-radius: 50%;
}}

/* Cards: the chosen one is outlined and tinted, and says so in words as well. */
[class*="st-key-card_"] {{ background: {_both("surface")}; transition: border-color 120ms; }}
[class*="st-key-card_open_"]:hover {{ border-color: {_both("accent")}; }}
[class*="st-key-card_chosen_"] {{
  border-color: {_both("accent")};
  box-shadow: inset 0 0 0 1px {_both("accent")};
}}
.st-key-checkup_line {{ min-height: 3.75rem; }} /* of its summary, so that nothing moves when the progress ends */
[class*="st-key-empty_"] {{ padding-block: 2rem; }}
[class*="st-key-empty_"] p {{ margin-inline: auto; }}

/* Where chosen options leave its line no room, the field for the next one would be too narrow to hit. */
.stMultiSelect input[role="combobox"] {{ min-width: 24px; }}

/* Several pictures in one row don't touch. */
.stImage {{ gap: 0.75rem; }}

/* A formula shrinks on a phone instead of scrolling, which a keyboard couldn't reach. */
.stApp .katex-display {{ overflow: visible; font-size: min(1em, 3.4vw); }}

/* Numbers that change each second keep their place. */
[data-testid="stMetricValue"] {{ font-variant-numeric: tabular-nums; }}

@media (pointer: coarse) {{
  .stApp :is(.stButton, .stDownloadButton, .stFormSubmitButton) button {{ min-height: 44px; }}
}}
@media (prefers-reduced-motion: reduce) {{
  .stApp *, .stApp ::before, .stApp ::after {{
    animation-duration: 0.01ms !important;
    animation-iteration-count: 1 !important;
    transition-duration: 0.01ms !important;
    scroll-behavior: auto !important;
  }}
}}
"""
