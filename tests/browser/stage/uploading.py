"""A page with nothing but the uploader, which says what came of it."""

import os

import streamlit as st

from core.data import intake
from core.errors import CoreError
from core.workspace import Workspace, default_root
from pages.parts.uploader import uploader

mode = st.query_params.get("mode", "dataset")
workspace = Workspace(default_root())
try:
    upload = intake.open_upload(workspace, st.session_state.get("upload") or st.query_params["upload"])
except (CoreError, KeyError):
    upload = intake.begin(workspace, purpose="dataset" if mode == "dataset" else "try")
st.session_state.upload = upload.id
result = uploader("photos_upload", upload=upload, mode="photos" if mode == "photos" else "dataset")
results = st.session_state.setdefault("results", {})
if result is not None:
    results[result.id] = result
for number, told in enumerate(results.values(), start=1):
    st.code(
        f"result {number}: sent={told.sent} received={told.received} again={told.again} failed={told.failed} "
        f"skipped={told.skipped} cancelled={told.cancelled} missing={told.missing} complete={told.complete} "
        f"ready={told.ready} "
        f"upload={told.upload.id} pid={os.getpid()}"
    )
st.text_input("Elsewhere", key="elsewhere")
