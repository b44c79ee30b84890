"""What each page says and does, whatever the address, the names and the settings it is given."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from core import runs
from core.errors import RunError
from core.events import Ended, EpochEnded, Failed, Notice
from core.runs.store import EventWriter
from core.words import say
from core.workspace import Workspace
from pages.parts import panels
from tests.app.conftest import FRAME, SECONDS, Recorder, finish, make_photos, make_run

Visit = Callable[..., AppTest]
STEPS = ("start", "photos", "model", "train", "results", "try_it", "compare")
WAITS = {
    "model": "model.waits", "train": "train.waits", "results": "results.waits", "try_it": "try.waits",
    "why": "why.waits",
}  # fmt: skip
HOSTILE_IDS = (
    "../../x",
    "<script>alert(1)</script>",
    "20261121-000000-00000000",
    "..",
    "/etc/passwd",
    "\x00",
    "%2e%2e",
)
# An image from elsewhere, a colour, a formula, a link, an icon, a tag: each would be something else if it were read.
HOSTILE_NAMES = ("![](//evil)", ":red[x]", "$x$", "[a](http://evil)", ":material/star:", "<b>x</b>", "`c` **d** _e_")
MARKDOWN_FIELDS = {"body", "label", "caption", "help", "text"}


def texts(page: AppTest) -> list[str]:
    """Every text on the page that Streamlit reads as Markdown, from the messages that go to the browser."""
    return [text for node in nodes(page._tree) if (proto := getattr(node, "proto", None)) for text in markdown(proto)]


def nodes(node: Any) -> Iterator[Any]:
    yield node
    for child in getattr(node, "children", {}).values():
        yield from nodes(child)


def markdown(proto: Any) -> Iterator[str]:
    if not hasattr(proto, "ListFields"):
        return
    for known, value in proto.ListFields():
        many = value if not isinstance(value, str) and hasattr(value, "__iter__") else [value]
        for one in many:
            if isinstance(one, str) and known.name in MARKDOWN_FIELDS:
                yield one
            else:
                yield from markdown(one)


def boxes(page: AppTest) -> str:
    return "\n".join(box.value for kind in (page.error, page.warning, page.info, page.success) for box in kind)


@pytest.mark.parametrize("step", list(WAITS))
def test_a_page_without_anything_says_what_it_waits_for(visit: Visit, step: str) -> None:
    page = visit(step)
    assert not page.exception
    assert [box.value for box in page.info] == [say(WAITS[step])]
    assert not page.error


def test_start_leads_to_the_photos_and_names_the_processor(visit: Visit) -> None:
    page = visit()
    assert page.title[0].value == say("start.title")
    assert len(page.info) == 1
    page.button(key="bring").click().run()
    assert page.title[0].value == say("photos.bring_title")


@pytest.mark.parametrize("step", [*STEPS, "why"])
def test_an_address_that_names_nothing_of_ours_leads_to_a_calm_page(visit: Visit, step: str) -> None:
    for identifier in HOSTILE_IDS:
        page = visit(step, run=identifier, set=identifier)
        assert not page.exception, identifier
        assert not page.error, identifier
        assert page.title, identifier
        assert not any("script>" in text for text in texts(page))


def test_names_that_look_like_markup_are_shown_as_they_are(
    visit: Visit, workspace: Workspace, recorder: Recorder
) -> None:
    classes = tuple(name.replace("/", "∕") for name in HOSTILE_NAMES)  # a folder's name has no slash
    photos = make_photos(workspace, classes, per_class=6)
    run = finish(make_run(workspace, photos, recorder))
    seen = ""
    for step in STEPS:
        page = visit(step, set=photos.id, run=run.id)
        assert not page.exception, step
        shown = texts(page)
        for name in classes:
            raw = [text for text in shown if name in text]
            assert raw == [], f"{name} is read as markup on {step}"
        seen += "\n".join(shown)
    for name in classes:
        assert panels.plain(name) in seen


def test_a_started_run_names_its_photos_and_is_in_the_address(
    visit: Visit, workspace: Workspace, recorder: Recorder
) -> None:
    photos = make_photos(workspace)
    page = visit("model", set=photos.id)
    page.button(key="start_training").click().run()
    assert not page.exception
    (run,) = recorder.started
    assert run.info().dataset["id"] == photos.id
    assert page.query_params["run"] in (run.id, [run.id])


def test_a_mistake_is_told_with_what_to_do_about_it(
    visit: Visit, workspace: Workspace, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = make_photos(workspace)

    def refuse(*_: object, **__: object) -> None:
        raise RunError("runs.not_empty", folder="*here*")

    monkeypatch.setattr(runs, "submit", refuse)
    page = visit("model", set=photos.id)
    page.button(key="start_training").click().run()
    (box,) = page.error
    assert r"\*here\* is there already" in box.value
    assert panels.shown("runs.not_empty.hint") in box.value


def test_a_failed_run_tells_its_error_and_offers_to_go_on(
    visit: Visit, workspace: Workspace, recorder: Recorder
) -> None:
    run = make_run(workspace, make_photos(workspace), recorder)
    writer = EventWriter(run)
    writer.append(Failed(error=RunError("runs.missing_file", run="r", file="a.jpg").to_json()))
    writer.close()
    page = visit("train", run=run.id)
    assert "has lost its file a" in boxes(page)
    assert "Start a new run" in boxes(page)
    page.button(key="resume").click().run()
    assert recorder.started[-1].id == run.id
    assert say("train.ended.failed") not in boxes(page)
    assert page.button(key="stop")


def test_a_run_whose_loss_became_infinite_says_so_once_and_not_as_a_success(
    visit: Visit, workspace: Workspace, recorder: Recorder
) -> None:
    run = make_run(workspace, make_photos(workspace), recorder)
    writer = EventWriter(run)
    writer.append(EpochEnded(epoch=1, of=9, train_loss=1.0, best=True))
    writer.append(Notice(key="training.notice.diverged", values={"epoch": 1}))
    writer.append(Ended(reason="diverged", best_phase="head", best_epoch=1))
    writer.close()
    page = visit("train", run=run.id)
    assert [box.value for box in page.warning] == [say("training.notice.diverged", epoch=1)]
    assert not page.success


def test_stopping_leaves_the_flag_and_says_so(visit: Visit, workspace: Workspace, recorder: Recorder) -> None:
    run = make_run(workspace, make_photos(workspace), recorder)
    page = visit("train", run=run.id)
    page.button(key="stop").click().run()
    assert run.stop_flag.exists()
    page.run()
    assert page.button(key="stop").disabled


def test_results_of_a_finished_run_count_as_its_file_does(
    visit: Visit, workspace: Workspace, recorder: Recorder
) -> None:
    run = finish(make_run(workspace, make_photos(workspace), recorder))
    page = visit("results", run=run.id)
    told = json.loads(run.metrics.read_text("utf-8"))
    assert told["correct"] < told["total"]
    assert any(f"{told['correct']} of {told['total']} right" in text for text in texts(page))
    page.button(key="next_try_it").click().run()
    assert page.title[0].value == say("try.title")


def test_no_page_imports_torch_before_it_predicts(workspace: Workspace, recorder: Recorder) -> None:
    photos = make_photos(workspace)
    run = finish(make_run(workspace, photos, recorder))
    script = f"""
import sys
from streamlit.testing.v1 import AppTest
from core.doctor import checkup
checkup.start = lambda *_: False  # it would be a process of its own
for step in {STEPS!r}:
    page = AppTest.from_file({str(FRAME)!r}, default_timeout={SECONDS})
    page.query_params["set"], page.query_params["run"] = {photos.id!r}, {run.id!r}
    if step != "start":
        page.switch_page(step + ".py")
    page.run()
    assert not page.exception, (step, page.exception)
    assert page.title, step
heavy = sorted(name for name in sys.modules if name.split(".")[0] in ("torch", "torchvision", "timm"))
assert not heavy, heavy[:5]
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=FRAME.parent.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
