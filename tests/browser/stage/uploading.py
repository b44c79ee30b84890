"""A page with nothing but the uploader, which says what came of it."""

import os

import streamlit as st

from core.data import intake
from core.workspace import Workspace, default_root
from pages.parts.uploader import uploader

mode = st.query_params.get("mode", "dataset")
workspace = Workspace(default_root())
if "upload" not in st.session_state:
    st.session_state.upload = intake.begin(workspace, purpose="dataset" if mode == "dataset" else "try").id
upload = intake.open_upload(workspace, st.session_state.upload)
result = uploader("photos_upload", upload=upload, mode="photos" if mode == "photos" else "dataset")
if result is not None:
    st.session_state.results = [*st.session_state.get("results", []), result]
for number, told in enumerate(st.session_state.get("results", []), start=1):
    st.code(
        f"result {number}: sent={told.sent} received={told.received} again={told.again} failed={told.failed} "
        f"skipped={told.skipped} cancelled={told.cancelled} missing={told.missing} complete={told.complete} "
        f"upload={told.upload.id} pid={os.getpid()}"
    )
st.text_input("Elsewhere", key="elsewhere")
