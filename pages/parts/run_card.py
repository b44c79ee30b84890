"""One run as a card: what it is called, what was noted, its star, and the way to its results or to its end."""

import streamlit as st

from core.errors import CoreError
from core.runs import RunDirectory, notes
from core.runs.deleting import at_work, delete, dependants, is_working, size_bytes
from core.runs.notes import LONGEST_NAME, LONGEST_TEXT
from core.words import say
from pages.parts import panels, state
from pages.parts.cards import card
from pages.parts.compared import Side

TOLD, PROBLEM = "deleted_run", "run_problem"
NAMED_RUNS = 12


def told() -> None:
    """Once: that a run is deleted, or why something couldn't be done."""
    name = st.session_state.pop(TOLD, None)
    if name is not None:
        st.success(panels.shown("compare.delete.done", name=name), icon=":material/check:")
    problem = st.session_state.pop(PROBLEM, None)
    if isinstance(problem, CoreError):
        panels.error_box(problem)


def show(side: Side) -> None:
    run, note = side.run, side.note
    with card(f"run_{side.letter}"):
        st.markdown(f"#### {side.letter} · {'★ ' if note.starred else ''}{panels.plain(side.name)}")
        st.caption(_facts(side))
        if note.text:
            # Line by line: nothing in it is read as markup, and its lines stay lines.
            st.markdown("  \n".join(panels.plain(line) or "\u00a0" for line in note.text.split("\n")))
        with st.container(horizontal=True, gap="small"):
            st.button(
                say("compare.card.unstar" if note.starred else "compare.card.star"), key=f"star_{run.id}",
                icon=":material/star:", type="tertiary",
                on_click=_star, args=(run, not note.starred),
            )  # fmt: skip
            if st.button(say("compare.card.edit"), key=f"edit_{run.id}", icon=":material/edit:", type="tertiary"):
                st.dialog(say("compare.card.edit"))(_edit)(side)
            if st.button(say("compare.card.delete"), key=f"end_{run.id}", icon=":material/delete:", type="tertiary"):
                st.dialog(say("compare.delete.title"))(_ask)(side)
            if st.button(
                say("compare.card.results"), key=f"results_{run.id}", icon=":material/fact_check:", type="tertiary"
            ):
                state.choose_run(run.id)
                st.switch_page(st.session_state["pages"]["results"], query_params=state.place())


def _facts(side: Side) -> str:
    preset, when = say(f"model.preset.{side.info.config.preset}"), panels.moment(side.info.created)
    return panels.shown("compare.card.told", photos=side.info.title, preset=preset, when=when)


def _star(run: RunDirectory, starred: bool) -> None:
    try:
        notes.change(run, starred=starred)
    except CoreError as error:
        st.session_state[PROBLEM] = error


def _edit(side: Side) -> None:
    st.text_input(
        say("compare.card.name"), value=side.note.name, max_chars=LONGEST_NAME, key=f"name_{side.run.id}",
        placeholder=side.info.title, help=say("compare.card.name_help"),
    )  # fmt: skip
    st.text_area(say("compare.card.note"), value=side.note.text, max_chars=LONGEST_TEXT, key=f"note_{side.run.id}")
    if st.button(say("compare.card.save"), key=f"save_{side.run.id}", type="primary", on_click=_save, args=(side.run,)):
        st.rerun()  # the page tells what couldn't be done


def _save(run: RunDirectory) -> None:
    """A callback, so that nothing breaks it off."""
    name, text = (st.session_state[f"{what}_{run.id}"] for what in ("name", "note"))
    try:
        notes.change(run, name=name, text=text)
    except CoreError as error:
        st.session_state[PROBLEM] = error


def _ask(side: Side) -> None:
    if not side.run.path.exists():
        st.rerun()  # it has just been deleted: the page has something else to show
    size = size_bytes(side.run) / 1e6
    shown = f"{size:,.0f}" if size >= 10 else f"{size:.1f}"
    when = panels.moment(side.info.created)
    st.markdown(panels.shown("compare.delete.what", name=side.name, when=when, size=shown))
    _dependants(side.run)
    busy, working = at_work(side.run), is_working(side.run)
    if working:
        st.warning(say("compare.delete.working"), icon=":material/warning:")
    elif busy:
        st.warning(panels.shown("compare.delete.busy", name=busy[0].title), icon=":material/warning:")
    with st.container(horizontal=True):
        st.button(
            say("compare.delete.sure"), key=f"sure_{side.run.id}", type="primary", disabled=working or bool(busy),
            on_click=_delete, args=(side,),
        )  # fmt: skip
        if st.button(say("compare.delete.keep"), key=f"keep_{side.run.id}"):
            st.rerun()


def _dependants(run: RunDirectory) -> None:
    """What started from it, by name, and what becomes of that."""
    used = dependants(run)
    if not used:
        st.markdown(say("compare.delete.nothing"))
        return
    st.markdown(say("compare.delete.dependants", n=len(used)))
    lines = [f"- {panels.run_label(other, info)}" for other, info in used[:NAMED_RUNS]]
    if len(used) > NAMED_RUNS:
        lines.append(f"- {say('compare.delete.more', n=len(used) - NAMED_RUNS)}")
    st.markdown("\n".join(lines))


def _delete(side: Side) -> None:
    """A callback, so that nothing breaks it off."""
    try:
        delete(side.run)
    except CoreError as error:
        st.session_state[PROBLEM] = error
        return
    st.session_state[TOLD] = side.name
    state.choose_compared([one for one in state.compared() or () if one != side.run.id])
    if state.place().get(state.RUN) == side.run.id:
        state.choose_run(None)
