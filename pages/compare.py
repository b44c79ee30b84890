"""Compare: two to four runs side by side, and what a person notes about a run."""

import zlib
from collections import Counter
from collections.abc import Mapping

import streamlit as st

from core.runs import RunDirectory, RunInfo, notes
from core.runs.notes import Note
from core.words import say
from pages.parts import compared, panels, run_card, state
from pages.parts.cards import card_grid
from pages.parts.compared import Side

Listed = list[tuple[RunDirectory, RunInfo, Note]]
WATCH_SECONDS = 1.0


def main() -> None:
    st.title(say("compare.title"), anchor=False)
    run_card.told()
    listed = notes.listed(state.workspace().runs)
    if not listed:
        panels.waiting_for("model", say("compare.waits"))
        return
    chosen, missing = compared.sides(listed, _wanted())
    if missing:
        st.info(say("compare.gone", n=missing), icon=":material/info:")
    elif chosen:
        state.choose_compared([side.run.id for side in chosen])  # remembered ones get back into the address
    _choose(listed, chosen)
    if chosen:
        with card_grid():
            for side in chosen:
                run_card.show(side)
    if len(chosen) < 2:
        few = "compare.too_few" if chosen else "compare.none_chosen"
        st.info(say("compare.one_run" if len(listed) == 1 else few), icon=":material/compare_arrows:")
        return
    _side_by_side(chosen, {run.id: notes.title(info, note) for run, info, note in listed})
    st.caption(say("compare.link"))


def _wanted() -> tuple[str, ...]:
    """The chosen runs; the one that was being looked at where nobody has chosen yet."""
    wanted = state.compared()
    if wanted is None:
        run = state.current_run()
        wanted = (run.id,) if run is not None else ()
    return tuple(identifier for identifier in wanted if identifier)


def _choose(listed: Listed, chosen: tuple[Side, ...]) -> None:
    words = _labels(listed)
    # The browser keeps the texts of what is chosen: other texts are another widget, or it would answer with old ones.
    key = f"compare_choice_{zlib.crc32(repr(words).encode('utf-8', 'replace'))}"
    now = [side.run.id for side in chosen]
    if st.session_state.get(key) != now:
        st.session_state[key] = now  # the address says which

    def note_choice() -> None:
        state.choose_compared(st.session_state[key])

    st.multiselect(
        say("compare.choose"), list(words), key=key, format_func=lambda one: words[one],
        max_selections=state.MOST_COMPARED, help=say("compare.choose_help"), on_change=note_choice,
    )  # fmt: skip


def _labels(listed: Listed) -> dict[str, str]:
    """By id; no two are the same, for the browser answers with the text of an option: later ones get a number."""
    labels = {run.id: _label(info, note) for run, info, note in listed}
    seen: Counter[str] = Counter()
    for run in sorted(labels):
        seen[label := labels[run]] += 1
        labels[run] = label if seen[label] == 1 else f"{label} ({seen[label]})"
    return labels


def _label(info: RunInfo, note: Note) -> str:
    """Plain text: an option is never read as markup."""
    star = "★ " if note.starred else ""
    return (
        f"{star}{notes.title(info, note)} · {say(f'model.preset.{info.config.preset}')} · {panels.moment(info.created)}"
    )


def _side_by_side(chosen: tuple[Side, ...], names: Mapping[str, str]) -> None:
    """Looked at once a second, only as long as one of them is open."""
    is_open = any(state.state_of(side.run).open for side in chosen)

    @st.fragment(run_every=WATCH_SECONDS if is_open else None)
    def panel() -> None:
        if not all(side.run.path.is_dir() for side in chosen):
            st.rerun()  # another tab has deleted one
        known = [state.state_of(side.run) for side in chosen]
        compared.scores(chosen, known)
        compared.chance(chosen)
        compared.curves(chosen, known)
        compared.settings(chosen, names)
        if is_open and not any(one.open for one in known):
            st.rerun()

    panel()


main()
