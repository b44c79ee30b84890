"""Mending a data set: each verb changes what it says and nothing else, and undo brings back the exact version."""

import os
import threading
import time

import pytest

from core.data import adding, datasets, intake, mending, scanning
from core.data.store import read_dataset, read_report
from core.doctor.report import Suggestion
from core.errors import DataError
from core.workspace import Workspace
from tests.photos import draw, make_folder


@pytest.fixture
def shapes(tmp_path):
    """Four photos each of circle, square and stripes, scanned."""
    dataset = datasets.create(Workspace(tmp_path), "shapes", "upload")
    make_folder(dataset.root, per_class=4)
    scanning.work(dataset)
    return dataset


def on_disk(dataset) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in dataset.root.rglob("*.jpg")}


def test_a_moved_photo_is_in_its_new_class_and_its_file_where_it_was(shapes):
    before = on_disk(shapes)
    step = mending.move(shapes, ["circle/000.jpg"], "square")
    report = read_report(shapes)
    assert dict(report.counts) == {"circle": 3, "square": 5, "stripes": 4}
    assert next(photo.label for photo in report.photos if photo.path == "circle/000.jpg") == "square"
    assert step.text == "1 photo moved to “square”"
    assert on_disk(shapes) == before


def test_a_photo_set_aside_counts_nowhere_and_comes_back(shapes):
    before = read_report(shapes).fingerprint
    mending.set_aside(shapes, ["circle/000.jpg", "square/001.jpg"], "dark")
    report = read_report(shapes)
    assert dict(report.counts) == {"circle": 3, "square": 3, "stripes": 4}
    assert [photo.path for photo in report.aside] == ["circle/000.jpg", "square/001.jpg"]
    assert {photo.path for photo in report.photos}.isdisjoint(["circle/000.jpg", "square/001.jpg"])
    mending.bring_back(shapes, ["circle/000.jpg", "square/001.jpg"])
    assert read_report(shapes).fingerprint == before
    assert read_report(shapes).aside == ()


def test_a_class_is_renamed_and_two_are_merged(shapes):
    assert mending.rename_class(shapes, "circle", "disc").kind == "rename"
    assert dict(read_report(shapes).counts) == {"disc": 4, "square": 4, "stripes": 4}
    assert mending.rename_class(shapes, "disc", "square").kind == "merge"
    assert dict(read_report(shapes).counts) == {"square": 8, "stripes": 4}


def test_the_name_of_a_class_can_be_spelt_anew(shapes):
    mending.rename_class(shapes, "circle", "Circle")
    assert read_report(shapes).classes == ("Circle", "square", "stripes")


def test_a_name_typed_in_other_letters_means_the_class_that_is_there(shapes):
    mending.move(shapes, ["circle/000.jpg"], "  SQUARE ")
    assert read_report(shapes).counts["square"] == 5


def test_a_forgotten_label_makes_a_photo_one_to_label_and_confirming_gives_it_a_class(shapes):
    mending.forget_label(shapes, ["circle/000.jpg", "circle/001.jpg"])
    assert [photo.path for photo in read_report(shapes).unlabelled] == ["circle/000.jpg", "circle/001.jpg"]
    mending.confirm(shapes, {"circle/000.jpg": "stripes", "circle/001.jpg": "square"})
    report = read_report(shapes)
    assert report.unlabelled == ()
    assert dict(report.counts) == {"circle": 2, "square": 5, "stripes": 5}


def test_suggestions_are_followed_in_one_step(shapes):
    mending.accept(
        shapes,
        [
            Suggestion("label", ("circle/000.jpg",), "square"),
            Suggestion("aside", ("circle/001.jpg", "circle/002.jpg"), "copy"),
        ],
    )
    report = read_report(shapes)
    assert dict(report.counts) == {"circle": 1, "square": 5, "stripes": 4}
    assert len(report.aside) == 2
    assert mending.history(shapes).version == 1


def test_every_version_can_be_had_again_exactly(shapes):
    prints = [read_report(shapes).fingerprint]
    deeds = [
        lambda: mending.move(shapes, ["circle/000.jpg"], "square"),
        lambda: mending.set_aside(shapes, ["stripes/003.jpg"]),
        lambda: mending.rename_class(shapes, "stripes", "lines"),
        lambda: mending.set_parts(shapes, {"circle/001.jpg": "test"}),
        lambda: mending.forget_label(shapes, ["square/002.jpg"]),
    ]
    for deed in deeds:
        step = deed()
        prints.append(read_report(shapes).fingerprint)
        assert step.fingerprint == prints[-1]
    assert len(set(prints)) == len(prints)
    for version in (3, 1, 0, 5, 2, 4):
        assert mending.go_back(shapes, version).fingerprint == prints[version]
    for version in (3, 2, 1, 0):
        mending.undo(shapes)
        assert read_report(shapes).fingerprint == prints[version]
    for version in (1, 2, 3, 4):
        mending.redo(shapes)
        assert read_report(shapes).fingerprint == prints[version]


def test_the_list_shows_the_data_set_as_it_stands_now(shapes):
    mending.set_aside(shapes, ["circle/000.jpg"])
    summary = read_dataset(shapes.folder).summary
    assert summary is not None
    assert (summary.photos, summary.fingerprint) == (11, read_report(shapes).fingerprint)


def test_two_tabs_that_mend_at_once_lose_nothing(shapes):
    paths = [f"{label}/{number:03}.jpg" for label in ("circle", "square", "stripes") for number in range(4)]
    threads = [threading.Thread(target=mending.set_aside, args=(shapes, [path])) for path in paths[:10]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert mending.history(shapes).version == 10
    assert sorted(photo.path for photo in read_report(shapes).aside) == sorted(paths[:10])


def test_a_mend_that_was_cut_off_leaves_the_version_before_it(shapes):
    mending.move(shapes, ["circle/000.jpg"], "square")
    before = read_report(shapes).fingerprint
    with shapes.history.open("ab") as file:
        file.write(b'{"number":2,"at":1,"kind":"move","values":{},"par')
    assert read_report(shapes).fingerprint == before
    mending.undo(shapes)
    assert read_report(shapes).counts["circle"] == 4


@pytest.mark.parametrize(
    ("deed", "key"),
    [
        (lambda d: mending.move(d, [], "square"), "mend.nothing_chosen"),
        (lambda d: mending.move(d, ["circle/000.jpg"], " \u202e "), "mend.no_name"),
        (lambda d: mending.move(d, ["circle/000.jpg"], "x" * 200), "mend.long_name"),
        (lambda d: mending.move(d, ["../../secret.jpg"], "square"), "mend.no_photo"),
        (lambda d: mending.rename_class(d, "triangle", "square"), "mend.no_class"),
        (mending.undo, "mend.nothing_to_undo"),
        (mending.redo, "mend.nothing_to_redo"),
        (lambda d: mending.go_back(d, 7), "mend.no_version"),
        (lambda d: mending.set_rule(d, {"kind": "name", "separator": ".*", "parts": 2}), "mend.bad_rule"),
    ],
)
def test_what_can_not_be_done_is_said_and_changes_nothing(shapes, deed, key):
    with pytest.raises(DataError) as told:
        deed(shapes)
    assert told.value.key == key
    assert told.value.hint
    assert mending.history(shapes).version == 0


# More photos


def settled(dataset):
    for _ in range(200):
        state = datasets.watch(dataset)
        if state.status not in ("waiting", "scanning"):
            return state
        time.sleep(0.05)
    raise AssertionError("the scan doesn't end")


def arrive(workspace, tmp_path, files: dict[str, str]):
    upload = intake.begin(workspace, purpose="dataset")
    for seed, (name, label) in enumerate(files.items()):
        file = tmp_path / "one.jpg"
        draw(label, 900 + seed).save(file)
        intake.receive(upload, name, file.read_bytes())
    return upload


def test_photos_that_come_later_make_a_version_and_mends_stay(tmp_path, shapes):
    workspace = Workspace(tmp_path)
    mending.move(shapes, ["circle/000.jpg"], "square")
    before = read_report(shapes).fingerprint
    datasets.add(shapes, arrive(workspace, tmp_path, {"circle/a.jpg": "circle", "ring/b.jpg": "circle"}))
    state = settled(shapes)
    assert (state.status, state.error) == ("ready", None)
    assert state.report is not None
    assert dict(state.report.counts) == {"circle": 4, "ring": 1, "square": 5, "stripes": 4}
    assert all((shapes.root / photo.path).is_file() for photo in state.report.photos)
    assert mending.history(shapes).steps[-1].text == "2 photos added"
    mending.undo(shapes)
    assert read_report(shapes).fingerprint == before
    mending.redo(shapes)
    assert read_report(shapes).fingerprint == state.report.fingerprint


def test_a_copy_that_comes_later_is_tied_to_the_photo_that_was_there(tmp_path, shapes):
    from PIL import Image

    upload = intake.begin(Workspace(tmp_path), purpose="dataset")
    copy = tmp_path / "copy.jpg"
    with Image.open(shapes.root / "circle/001.jpg") as picture:
        picture.resize((70, 70)).save(copy, quality=80)
    intake.receive(upload, "circle/again.jpg", copy.read_bytes())
    datasets.add(shapes, upload)
    report = settled(shapes).report
    assert report is not None
    assert ("added/circle/again.jpg", "circle/001.jpg") in report.together


def test_what_can_not_be_added_leaves_the_data_set_as_it_was_and_says_why(tmp_path, shapes):
    upload = intake.begin(Workspace(tmp_path), purpose="dataset")
    intake.receive(upload, "cat/letter.txt", b"dear cat")
    before = read_report(shapes).fingerprint
    datasets.add(shapes, upload)
    state = settled(shapes)
    assert state.status == "ready"
    assert state.error is not None
    assert state.report is not None
    assert state.report.fingerprint == before
    assert shapes.arriving == ()


def test_photos_are_added_whole_wherever_it_was_killed(tmp_path, shapes, monkeypatch):
    """The process is ended at each of the calls that change the disk, then started again."""

    class Killed(BaseException):
        pass

    for moment in range(4):
        datasets_added = mending.history(shapes).version
        upload = arrive(Workspace(tmp_path), tmp_path, {f"circle/{moment}.jpg": "circle"})
        with monkeypatch.context() as patch:
            patch.setattr(datasets, "start_scan", lambda dataset: True)
            datasets.add(shapes, upload)
            calls = 0

            def killing(real, moment=moment):
                def call(*arguments, **named):
                    nonlocal calls
                    calls += 1
                    if calls == moment + 1:
                        raise Killed
                    return real(*arguments, **named)

                return call

            for module, name in ((adding, "write_report"), (os, "rename"), (mending, "add_step"), (adding, "_clear")):
                patch.setattr(module, name, killing(getattr(module, name)))
            with pytest.raises(Killed):
                scanning.work(shapes)
        assert datasets.watch(shapes).status in ("lost", "ready")
        scanning.work(shapes)
        state = datasets.watch(shapes)
        assert state.status == "ready"
        assert state.report is not None
        assert state.report.counts["circle"] == 5 + moment
        assert mending.history(shapes).version == datasets_added + 1
        assert shapes.arriving == ()


def test_a_folder_on_the_server_is_looked_at_again_and_mends_stay(tmp_path):
    folder = make_folder(tmp_path / "elsewhere", per_class=3)
    dataset = datasets.create(Workspace(tmp_path / "workspace"), "elsewhere", "server", folder)
    scanning.work(dataset)
    mending.move(dataset, ["circle/000.jpg"], "square")
    draw("circle", 77).save(folder / "circle/new.jpg")
    (folder / "stripes/002.jpg").unlink()
    datasets.start_scan(dataset)
    report = settled(dataset).report
    assert report is not None
    assert dict(report.counts) == {"circle": 3, "square": 4, "stripes": 2}
    assert mending.history(dataset).steps[-1].kind == "looked_again"
    with pytest.raises(DataError) as told:
        datasets.add(dataset, intake.begin(Workspace(tmp_path / "workspace"), purpose="dataset"))
    assert told.value.key == "dataset.add_to_server"
