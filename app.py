"""The server: Streamlit around ``pages/frame.py``, with our own routes beside it and a guard before everything.

Start it with ``streamlit run app.py`` or ``python app.py``.
"""

from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware

from pages.server.guard import Guard
from pages.server.routes import routes

app = st.App(
    Path(__file__).parent / "pages" / "frame.py",
    routes=routes(),
    middleware=[Middleware(Guard, address=lambda: st.get_option("server.address"))],
)

if __name__ == "__main__":
    app.run()
