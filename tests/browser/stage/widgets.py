"""One of each kind of element that Graft's pages use: does the content policy let them all work?"""

import streamlit as st

st.title("Widgets")
