"""The ways in and nothing else; once there is a data set, what was found in it."""

import streamlit as st

from core.data import datasets
from pages.parts import look, state, table, ways_in

st.set_page_config(page_title="Bringing", layout="centered")
look.apply()
st.title("Bringing", anchor=False)
state.remember_place()
chosen = state.dataset()
adding = st.query_params.get("adding") == "1"


@st.fragment(run_every=0.3)
def wait() -> None:
    if datasets.watch(chosen).status not in ("waiting", "scanning"):
        st.rerun()


if chosen is None:
    ways_in.show(None)
else:
    state.choose_dataset(chosen.id)
    state.show_place(state.DATASET)
    known = datasets.watch(chosen)
    if known.status in ("waiting", "scanning"):
        wait()
    elif known.report is not None:
        report = known.report
        st.code(
            f"found: id={chosen.id} name={chosen.name.replace(' ', '_')} photos={len(report.photos)} "
            f"unlabelled={len(report.unlabelled)} classes={'|'.join(report.classes)} version={report.version} "
            f"fingerprint={report.fingerprint}",
            language=None,
        )
        table.show(chosen, report)
        if adding:
            ways_in.show(chosen)
    else:
        st.code(f"failed: {known.status} {known.error} {known.log}", language=None)
