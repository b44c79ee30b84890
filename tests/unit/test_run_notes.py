"""What a person notes about a run: it is kept, changed piece by piece, and never takes a list of runs down."""

import json

import pytest

from core.config import TrainConfig
from core.data.report import Split
from core.errors import RunError
from core.runs import notes, open_run, store
from core.runs.notes import Note

SPLIT = Split(("a", "b"), (), (), (), "/photos")


def made(parent, title="leaves"):
    return store.create(parent, TrainConfig(), SPLIT, title=title, dataset={})


def test_a_run_nobody_wrote_about_has_no_name_and_is_called_by_its_photos(tmp_path):
    run = made(tmp_path)
    assert notes.read(run) == Note()
    assert notes.title(run.info(), notes.read(run)) == "leaves"


def test_name_note_and_star_are_each_changed_alone(tmp_path):
    run = made(tmp_path)
    notes.change(run, name="  first   try ")
    notes.change(run, text="Two lines:\r\nthis is the second.\n")
    notes.change(run, starred=True)
    again = open_run(tmp_path, run.id)
    assert notes.read(again) == Note("first try", "Two lines:\nthis is the second.", starred=True)
    assert notes.title(again.info(), notes.read(again)) == "first try"
    notes.change(run, name="")
    assert notes.read(run) == Note("", "Two lines:\nthis is the second.", starred=True)


def test_the_settings_of_the_run_stay_as_they_were(tmp_path):
    run = made(tmp_path)
    before = {path.name: path.read_bytes() for path in run.path.iterdir()}
    notes.change(run, name="x", starred=True)
    after = {path.name: path.read_bytes() for path in run.path.iterdir()}
    assert after.pop("notes.json")
    assert after == before


def test_starred_runs_come_first_and_each_newest_first(tmp_path):
    names = [f"2026112{day}-000000-00000000" for day in range(4)]
    for name in names:
        (tmp_path / name).mkdir()
        store.fill(tmp_path / name, TrainConfig(), SPLIT, title=name, dataset={})
    for name in (names[0], names[2]):
        notes.change(open_run(tmp_path, name), starred=True)
    assert [run.id for run, _, _ in notes.listed(tmp_path)] == [names[2], names[0], names[3], names[1]]


def test_characters_that_nobody_sees_are_left_out_and_letters_of_all_scripts_stay(tmp_path):
    run = made(tmp_path)
    note = notes.change(run, name="a\u202eb\x00c\ud800 葉 👩\u200d🔬", text="x\x07\ty\u2066\nz")
    assert note == Note("abc 葉 👩\u200d🔬", "x y\nz")
    assert notes.read(run) == note


def test_a_text_beyond_all_measure_is_cut(tmp_path):
    run = made(tmp_path)
    note = notes.change(run, name="n" * 10_000, text="t" * 1_000_000)
    assert (len(note.name), len(note.text)) == (notes.LONGEST_NAME, notes.LONGEST_TEXT)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe", b"[]", b'{"format": 2, "name": "from a newer one"}', b'{"format": 1, "name": 5}',
     b'{"format": 1, "starred": "yes"}', b"[" * 100_000],
)  # fmt: skip
def test_a_damaged_note_is_none_and_is_never_written_over(tmp_path, content):
    run = made(tmp_path)
    run.notes.write_bytes(content)
    assert notes.read(run) == Note()
    assert [one.id for one, _, _ in notes.listed(tmp_path)] == [run.id]
    with pytest.raises(RunError) as told:
        notes.change(run, name="new")
    assert told.value.key == "compare.unreadable_note"
    assert run.notes.read_bytes() == content


def test_a_deleted_run_takes_no_note(tmp_path):
    run = made(tmp_path)
    run.path.rename(tmp_path / "elsewhere")
    with pytest.raises(RunError) as told:
        notes.change(run, name="new")
    assert told.value.key == "runs.unknown"
    assert not run.path.exists()


def test_a_note_of_the_first_format_is_read(tmp_path):
    run = made(tmp_path)
    run.notes.write_text(json.dumps({"format": 1, "name": "n", "text": "t", "starred": True, "later": 1}), "utf-8")
    assert notes.read(run) == Note("n", "t", starred=True)
