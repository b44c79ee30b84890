"""Model: a preset, a backbone, how much of it stays frozen, and what that costs; then the run begins."""

import streamlit as st

from core import runs
from core.config import TrainConfig
from core.data.report import DatasetReport
from core.errors import CoreError
from core.words import say
from pages.parts import backbones, choices, panels, preview, scope, settings, starts, state


def main() -> None:
    st.title(say("model.title"), anchor=False)
    known = state.report()
    if known is None:
        panels.waiting_for("photos", say("model.waits"))
        return
    state.show_place(state.DATASET)
    try:
        divided = state.split_of(known)
    except CoreError as error:
        panels.error_box(error)
        panels.waiting_for("photos", say("model.waits"))
        return
    backbone = backbones.chosen()
    backbones.work_ahead(state.dataset())
    plan = choices.plan(divided, backbone)
    ready = not starts.needs_pretrained(plan.config) or backbones.weights_ready(backbone)
    start = st.container(key="start_action")
    st.subheader(say("model.backbone"), anchor=False)
    backbones.cards()
    starts.choose(plan.config, backbone, plan.models)
    st.subheader(say("model.depth"), anchor=False)
    scope.show(plan.config, plan.scope, backbone, divided)
    settings.all_settings(plan.config, plan.suggested, len(divided.classes))
    preview.show(plan.config, backbone, divided)
    with start:
        _start(plan.config, known, ready)


def _start(config: TrainConfig, known: DatasetReport, ready: bool) -> None:
    pressed = st.button(
        say("model.start"), type="primary", key="start_training", icon=":material/play_arrow:", disabled=not ready
    )
    chosen = state.dataset()
    if not pressed or chosen is None:
        return
    dataset = {
        "id": chosen.id,
        "name": chosen.name,
        "fingerprint": known.fingerprint,
        "version": known.version,
        "photos": len(known.photos),
        "skipped": len(known.left_out),
    }
    try:
        divided = state.split_of(known, config.seed, state.guesses(chosen, known, config.pseudo_labels))
        backbones.stop_measuring()
        run = runs.submit(state.workspace().runs, config, divided, title=chosen.name, dataset=dataset)
    except CoreError as error:
        panels.error_box(error)
        return
    state.choose_run(run.id)
    st.switch_page(st.session_state["pages"]["train"], query_params=state.place())


main()
