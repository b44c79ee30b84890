"""The server: Streamlit around ``pages/frame.py``, with our own routes beside it and a guard before everything.

Start it with ``streamlit run app.py`` or ``python app.py``; both take Streamlit's options (``--server.port 8600``).
"""

import sys
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
    from streamlit.web import cli

    # Not app.run(): that one reads neither options nor STREAMLIT_… variables (1.67).
    cli.main(["run", __file__, *sys.argv[1:]])
