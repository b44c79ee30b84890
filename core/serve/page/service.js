
// Sends the chosen photos to POST /predict and shows what comes back, as it comes back.
document.querySelector("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const token = document.getElementById("token").value;
  const place = document.getElementById("answer");
  place.textContent = "…";
  try {
    const answer = await fetch("predict", {
      method: "POST",
      body: new FormData(event.target),
      headers: token ? { Authorization: `Bearer ${token}` } : {},
    });
    place.textContent = JSON.stringify(await answer.json(), null, 2);
  } catch (error) {
    place.textContent = String(error);
  }
});
