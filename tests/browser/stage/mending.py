"""The mending panel of one data set and nothing else."""

import streamlit as st

from core.data.store import read_report
from pages.parts import delete, history, look, mend, state

st.set_page_config(page_title="Mending", layout="centered")
look.apply()
st.title("Mending", anchor=False)
state.remember_place()
chosen = state.dataset()
if chosen is None:
    delete.told()
    st.code("no data set")
else:
    shown = st.query_params.get_all("shown") or None
    mend.panel(chosen, read_report(chosen), shown=shown, key="mend")
    with st.expander("History"):
        history.panel(chosen, key="mend")
    delete.button(chosen)
    st.code(f"version={read_report(chosen).version}", language=None)
