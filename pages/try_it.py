"""Try it: photos or a camera's picture in, the model's answers out; and the model to take along."""

import streamlit as st

from core.data import intake
from core.runs import RunDirectory
from core.words import say
from pages.parts import answers, download, live_camera, many, panels, state
from pages.parts.uploader import uploader


def main() -> None:
    st.title(say("try.title"), anchor=False)
    run = state.current_run()
    if run is None:
        panels.waiting_for("model", say("try.waits"))
        return
    state.choose_run(run.id)
    state.show_place(state.RUN)
    st.caption(panels.run_label(run, run.info()))
    if not run.has_model:
        panels.waiting_for("train", say("results.not_ready"))
        return
    match _way():
        case "many":
            many.panel(run)
        case "live":
            live_camera.panel(run)
        case _:
            _few(run)
    download.panel(run)


def _way() -> str:
    """A few photos, each with its picture, many in a table (the address says so after a reload), or a camera."""
    ways = {"few": say("many.few"), "many": say("many.many"), "live": say("live.way")}
    st.session_state.setdefault("try_way", "many" if state.has_upload("many") else "few")
    chosen = st.segmented_control(say("many.way"), list(ways), format_func=ways.get, key="try_way", required=True)
    if chosen != "many":
        state.leave_upload("many")
    return chosen or "few"


def _few(run: RunDirectory) -> None:
    upload = state.upload("try")
    arrived = uploader("try_upload", upload=upload, mode="photos")
    if arrived is not None and arrived.problem:
        st.warning(arrived.problem, icon=":material/warning:")
    answers.show(run, upload)
    if intake.arrived(upload) and st.button(say("try.clear"), key="clear", icon=":material/clear_all:"):
        intake.discard(upload)
        state.forget_upload("try")
        st.rerun()


main()
