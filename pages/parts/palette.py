"""Every colour of Graft, light and dark, by the role it plays. ``.streamlit/config.toml`` repeats what Streamlit draws.

Rules that the tests hold: text has 4.5:1 on what it lies on, a mark that carries meaning 3:1 (WCAG 2.2, 1.4.3 and
1.4.11), and series stay apart for people who see no red or no green.
"""

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Theme:
    """One appearance. Colours are ``#RRGGBB`` in capitals, so that a drawing can be translated role by role."""

    background: str  # the page: warm paper, or the green of a forest at night
    surface: str  # cards, the sidebar, fields
    ink: str  # text
    muted: str  # captions, axes
    line: str  # borders and grids that only decorate
    primary: str  # leaf green, below white text
    link: str
    accent: str  # leaf green as a mark or as text on the page
    train: str
    validation: str
    frozen: str  # rootstock: outline and marks
    frozen_fill: str
    frozen_text: str  # on its fill
    trainable: str  # scion and wax: outline and marks
    trainable_fill: str
    trainable_text: str  # on its fill
    right: str
    wrong: str
    series: tuple[str, ...]
    matrix: tuple[str, str, str]  # none, half, all of a row; half is where the text on it turns
    matrix_text: tuple[str, str]  # on the lower and on the upper half


# Series: Okabe and Ito's set, darkened where paper needs it (sky blue to blue, vermilion and yellow to earth).
# Source: Okabe & Ito 2008, "Color Universal Design". Amber and grey-blue differ in lightness as well as in hue.
LIGHT = Theme(
    background="#FBF8F1",
    surface="#F3EEE2",
    ink="#1F2A24",
    muted="#55615A",
    line="#DDD6C6",
    primary="#2B6341",
    link="#1F6A45",
    accent="#2F7049",
    train="#006BA8",
    validation="#A84300",
    frozen="#56728A",
    frozen_fill="#DCE6EE",
    frozen_text="#36526A",
    trainable="#AD6700",
    trainable_fill="#F8E3B8",
    trainable_text="#6F4200",
    right="#00785A",
    wrong="#A33A1A",
    series=("#006BA8", "#A84300", "#009E73", "#8E3269", "#B08500", "#26332C"),
    matrix=("#F1ECDF", "#3A835C", "#10301F"),
    matrix_text=("#000000", "#FFFFFF"),
)
DARK = Theme(
    background="#0F1612",
    surface="#18221C",
    ink="#E9EEE6",
    muted="#A6B3A9",
    line="#2C3931",
    primary="#378054",
    link="#86CBA0",
    accent="#7CC79A",
    train="#56B4E9",
    validation="#E69F00",
    frozen="#86A5BD",
    frozen_fill="#1E2C37",
    frozen_text="#BBD2E3",
    trainable="#E0A44A",
    trainable_fill="#3A2A0F",
    trainable_text="#F6CF8B",
    right="#4CC79B",
    wrong="#F0855C",
    series=("#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#F0E442", "#F4F1E8"),
    matrix=("#1A251F", "#3A835C", "#CDEBD8"),
    matrix_text=("#FFFFFF", "#000000"),
)


def swaps() -> dict[str, str]:
    """Each colour of the light theme to its partner in the dark one: drawings are made light and translated live."""
    pairs: dict[str, str] = {}
    for field in fields(Theme):
        light, dark = getattr(LIGHT, field.name), getattr(DARK, field.name)
        for ours, theirs in zip(_several(light), _several(dark), strict=True):
            if pairs.setdefault(ours, theirs) != theirs:
                raise ValueError(f"{ours} stands for two roles that part in the dark: {pairs[ours]} and {theirs}")
    return pairs


def _several(colour: str | tuple[str, ...]) -> tuple[str, ...]:
    return (colour,) if isinstance(colour, str) else colour
