"""Taking a model along and bringing one: made in the background, checked, offered whole; refusals with their hints."""

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.data import intake
from core.errors import ModelError
from core.export.bundle import ExportStopped
from core.export.made import ExportFolder
from core.export.parity import FormParity, Parity
from core.runs import RunDirectory
from core.serve import bundle_worker
from core.words import say
from core.workspace import Workspace
from tests.app.conftest import Recorder, finish, make_photos, make_run
from tests.app.test_pages import boxes, texts

Visit = Callable[..., AppTest]
FORMS = {
    "onnx": FormParity(65, 65, 65, 8.6e-7),
    "safetensors": FormParity(65, 65, 65, 0.0),
    "program": FormParity(65, 65, 65, 2.1e-4),
}
PARITY = Parity(FORMS, 50, 7, 20, 1.0, {"browser": ModelError("export.no_runtime")})


@pytest.fixture
def run(workspace: Workspace, recorder: Recorder) -> RunDirectory:
    return finish(make_run(workspace, make_photos(workspace, per_class=4), recorder))


def bundle(run: RunDirectory, out: Path, tell: object, should_stop: object, *, samples: bool) -> Parity:
    """An export that is done at once."""
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("graft-model/model.onnx", b"x" * 2_000_000)
        archive.writestr("graft-model/graft.json", "{}")
        if samples:
            archive.writestr("graft-model/samples/photo-1.jpg", b"p")
    return PARITY


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(folder: ExportFolder, *, with_photos: bool) -> None:
        folder.path.mkdir(exist_ok=True)
        for file in (folder.error, folder.stop):
            file.unlink(missing_ok=True)
        bundle_worker.work(folder, with_photos=with_photos, export=bundle)

    monkeypatch.setattr(bundle_worker, "start", start)


def told(page: AppTest) -> str:
    assert not page.exception
    return "\n".join(texts(page))


def links(page: AppTest) -> list[str]:
    return [node.proto.url for node in page.get("link_button") if "/bundles/" in node.proto.url]


def test_a_bundle_is_made_checked_in_words_and_then_offered(visit: Visit, run: RunDirectory) -> None:
    page = visit("try_it", run=run.id)
    assert links(page) == []
    page.button(key="download_make").click().run()
    words = told(page)
    assert say("download.same", n=65) in boxes(page)
    assert "50 photos of this run" in words.replace("\\", "")
    assert "8 photos as they lie in the bundle" in words.replace("\\", "")
    assert "0.0003; 0.001 is allowed" in words.replace("\\", "")
    assert "The files of ONNX Runtime Web aren't on this computer" in boxes(page).replace("\\", "")
    [address] = links(page)
    assert f"/bundles/{run.id}?token=" in address
    table = next(frame.value for frame in page.dataframe if say("download.column.form") in frame.value)
    assert list(table[say("download.column.difference")]) == ["0.0000009", "0", "0.0003"]
    contents = next(frame.value for frame in page.dataframe if say("download.column.file") in frame.value)
    assert list(contents[say("download.column.file")]) == ["model.onnx", "graft.json"]
    assert list(contents[say("download.column.size")]) == ["2.0\u00a0MB", "1\u00a0kB"]


def test_photos_go_along_only_when_asked_for(visit: Visit, run: RunDirectory) -> None:
    page = visit("try_it", run=run.id)
    page.button(key="download_make").click().run()
    made = ExportFolder(run).made()
    assert made is not None
    assert not made.with_photos
    page.checkbox(key="download_photos").check().run()
    page.button(key="download_make").click().run()
    again = ExportFolder(run).made()
    assert again is not None
    assert again.with_photos
    assert not made.file.exists()  # one bundle a run
    assert again.file.exists()


def test_a_bundle_of_an_earlier_model_is_said_to_be_stale(visit: Visit, run: RunDirectory) -> None:
    page = visit("try_it", run=run.id)
    page.button(key="download_make").click().run()
    assert "The model has changed since" not in boxes(page)
    run.model.write_text("another model")
    page = visit("try_it", run=run.id)
    assert "The model has changed since" in boxes(page)
    assert len(links(page)) == 1
    page.button(key="download_make").click().run()
    assert "The model has changed since" not in boxes(page)


def test_what_fails_is_told_and_the_bundle_before_it_stays(
    visit: Visit, run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = visit("try_it", run=run.id)
    page.button(key="download_make").click().run()

    def differs(*_: object, **__: object) -> Parity:
        raise ModelError("export.different", form="onnx", same=3, n=65, difference="0.2", limit="0.001")

    bundle_worker.work(ExportFolder(run), with_photos=False, export=differs)
    page = visit("try_it", run=run.id)
    assert "3 of 65 photos" in boxes(page).replace("\\", "")
    assert len(links(page)) == 1


def test_stopped_or_killed_leaves_nothing_half_made(visit: Visit, run: RunDirectory) -> None:
    folder = ExportFolder(run)

    def stopped(run: RunDirectory, out: Path, *_: object, **__: object) -> Parity:
        folder.stop.touch()
        raise ExportStopped("export.stopped")

    bundle_worker.work(folder, with_photos=False, export=stopped)
    page = visit("try_it", run=run.id)
    assert say("download.stopped") in boxes(page)
    assert links(page) == []
    (folder.path / ".graft-export-x").mkdir()
    (folder.path / "bundle-00000000.zip").write_text("half")
    page.button(key="download_make").click().run()
    assert sorted(file.name for file in folder.path.glob("*.zip")) == [folder.made().file.name]  # type: ignore[union-attr]
    assert not (folder.path / ".graft-export-x").exists()


def test_while_it_is_made_there_is_a_bar_and_a_way_to_stop(visit: Visit, run: RunDirectory) -> None:
    folder = ExportFolder(run)
    folder.path.mkdir()
    folder.heartbeat.touch()
    folder.tell({"phase": "check", "done": 3, "total": 60})
    with folder.lock():
        page = visit("try_it", run=run.id)
        assert not page.exception
        assert not [one for one in page.button if one.key == "download_make"]
        page.button(key="download_stop").click().run()
    assert folder.stop.exists()
    shares = [bundle_worker.share(step, 0, 1) for step in bundle_worker.BEGINS]
    assert shares == sorted(shares)
    assert bundle_worker.share("pack", 1, 1) == 1


@pytest.mark.parametrize(
    "about", ["{", "[]", '{"format": 1}', '{"format": 1, "file": "../../model.safetensors"}', '{"format": 99}']
)
def test_what_can_t_be_read_of_a_bundle_offers_none(visit: Visit, run: RunDirectory, about: str) -> None:
    folder = ExportFolder(run)
    folder.path.mkdir()
    folder.about.write_text(about)
    page = visit("try_it", run=run.id)
    assert not page.exception
    assert links(page) == []


# Bringing one


def arrive(workspace: Workspace, page: AppTest, name: str, data: bytes) -> None:
    """As if this had been dropped."""
    upload = intake.begin(workspace, purpose="bundle")
    intake.receive(upload, name, data)
    page.session_state["bundle_upload_told"] = {
        "id": name, "upload": upload.id, "status": "done", "sent": 1, "received": 1, "expected": 1,
    }  # fmt: skip
    page.query_params["bundle"] = upload.id
    page.run()
    assert not upload.folder.exists()  # used up, whatever came of it


@pytest.mark.parametrize("step", ["start", "results"])
def test_what_is_no_bundle_is_refused_with_a_hint(visit: Visit, workspace: Workspace, step: str) -> None:
    page = visit(step)
    page.button(key="import_model").click().run()
    assert not page.exception
    arrive(workspace, page, "[x](y).zip", b"no zip")
    assert "“[x](y).zip” can't be opened as a bundle" in boxes(page).replace("\\", "")
    assert say("imported.no_zip.hint") in boxes(page).replace("\\", "")
    made = workspace.home / "other.zip"
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("photo.txt", "x")
    arrive(workspace, page, "other.zip", made.read_bytes())
    assert "isn't a Graft bundle" in boxes(page).replace("\\", "")
    assert not list(workspace.runs.glob("*"))
    assert not page.exception


def test_a_model_from_elsewhere_is_shown_kindly_on_every_page(
    visit: Visit, workspace: Workspace, run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As ``import_bundle`` leaves it: scores, a model, no photos and no epochs."""
    from core.data.report import Split
    from core.events import Ended, Evaluated, Started, WeightsReady
    from core.export import incoming
    from core.runs import notes, store
    from core.runs.store import EventWriter

    def take_in(bundle: Path, runs: Path) -> RunDirectory:
        classes = run.split().classes
        made = store.create(
            runs,
            run.info().config,
            Split(classes, (), (), (), str(runs / "none" / "photos")),
            title="herbs",
            dataset={},
        )
        shutil.copy(run.metrics, made.metrics)
        shutil.copy(run.model, made.model)
        made.model_card.write_text(json.dumps({"classes": classes}))
        writer = EventWriter(made)
        for event in (
            Started(), WeightsReady(name="efficientnet_lite0", source="imported"), Evaluated(correct=1, total=3),
            Ended(reason="complete", seconds={}),
        ):  # fmt: skip
            writer.append(event)
        writer.close()
        notes.change(made, text=f"Imported from {bundle.name}")
        return made

    monkeypatch.setattr(incoming, "import_bundle", take_in)
    page = visit("start")
    page.button(key="import_model").click().run()
    arrive(workspace, page, "herbs.zip", b"zip")
    assert say("imported.done", name="herbs") in boxes(page)
    assert "bundle" not in page.query_params
    brought = next(path.name for path in workspace.runs.iterdir() if path.name != run.id)
    assert say("imported.no_curve") in boxes(visit("train", run=brought))
    shown = visit("results", run=brought)
    assert say("imported.no_photos") in boxes(shown)
    assert say("judge.matrix.no_picture") not in told(shown)
    for step in ("photos", "model", "try_it", "why", "compare"):
        page = visit(step, run=brought) if step != "compare" else visit(step, runs=f"{run.id},{brought}")
        assert not page.exception, step
        assert not page.error, step
        if step == "try_it":
            assert not [box for box in page.checkbox if box.key == "download_photos"]  # it has none to give
