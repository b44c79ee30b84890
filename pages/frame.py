"""The entry script: the frame around every page. It has no ``pages/`` folder beside it, so nothing runs without it."""

import streamlit as st

from core.words import say
from pages.parts import look, state

STEPS = ("start", "photos", "model", "train", "results", "try_it")
ICONS = {
    "start": ":material/potted_plant:",
    "photos": ":material/photo_library:",
    "model": ":material/account_tree:",
    "train": ":material/show_chart:",
    "results": ":material/fact_check:",
    "try_it": ":material/center_focus_strong:",
    "why": ":material/visibility:",
    "compare": ":material/compare_arrows:",
}
BESIDE = ("why", "compare")  # no steps on the way to a model: they look into one, and back at several


def main() -> None:
    st.set_page_config(page_title="Graft", page_icon=str(state.ASSETS / "icon.png"), layout="centered")
    look.apply()
    state.remember_place()
    pages = {
        step: st.Page(
            f"{step}.py", title=say(f"frame.{step}"), icon=ICONS[step], url_path=step, default=step == "start"
        )
        for step in (*STEPS, *BESIDE)
    }
    st.session_state["pages"] = pages
    chosen = st.navigation(list(pages.values()), position="hidden")
    st.logo(str(state.ASSETS / "logo.svg"), size="large")
    with st.sidebar:
        st.caption(say("frame.steps"))
        with st.container(key="steps", gap="xsmall"):
            for number, step in enumerate(STEPS):
                label = say(f"frame.{step}") if number == 0 else f"{number}. {say(f'frame.{step}')}"
                st.page_link(pages[step], label=label, icon=ICONS[step], query_params=state.place())
        for page in BESIDE:
            st.page_link(pages[page], label=say(f"frame.{page}"), icon=ICONS[page], query_params=state.place())
        st.caption(say("frame.private"))
    chosen.run()


main()
