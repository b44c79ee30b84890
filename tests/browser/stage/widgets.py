"""One of each kind of element that Graft's pages use, so that a browser can tell which one the policy breaks."""

import io

import plotly.graph_objects as go
import streamlit as st
from PIL import Image

from pages.parts.plot import plot

picture = io.BytesIO()
Image.new("RGB", (64, 48), "green").save(picture, "JPEG")


@st.dialog("A dialog")
def dialog() -> None:
    st.write("Inside the dialog")


st.logo("assets/logo.svg")
st.title("Widgets", anchor=False)
st.markdown("**bold** :material/eco: $x^2$ `code` :green-badge[badge]")
st.code("print('code')", language="python")
st.html("<p style='color: teal'>html</p>")
st.dataframe([{"class": "cat", "photos": 3}], key="table", on_select="rerun")
st.image(picture.getvalue(), caption="a picture", width=64)
st.metric("Score", "96 %", "1 %", chart_data=[1, 2, 3])
st.progress(0.5, text="half")
st.download_button("Download", data=b"bytes", file_name="bytes.bin")
st.file_uploader("Streamlit's own", key="own")
st.camera_input("Camera", key="camera")
st.segmented_control("One of", ["a", "b"], key="one_of")
st.slider("Slide", 0, 10, key="slide")
with st.popover("More"):
    st.write("popped")
if st.button("Ask", key="ask"):
    dialog()
figure = go.Figure([go.Scatter(x=[1, 2, 3], y=[3, 1, 2]), go.Heatmap(z=[[1, 2], [3, 4]])])
plot(figure, key="figure", alt="A line and a square")
scattered = go.Figure([go.Scattergl(x=[1, 2, 3], y=[3, 1, 2], mode="markers")])
plot(scattered, key="scattered", alt="Three points")
st.plotly_chart(figure, key="builtin")
st.write("the end")
