"""The real routes and guard around a page that shows nothing but the part under test."""

import os
from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware

from pages.server.guard import Guard
from pages.server.routes import routes

app = st.App(
    Path(__file__).with_name(os.environ["GRAFT_STAGE"]),
    routes=routes(),
    middleware=[Middleware(Guard, address=lambda: st.get_option("server.address"))],
)
