"""Tables of file names and classes: found, guessed, read within limits, and matched only with photos that are there."""

import csv
import io
from pathlib import Path

import pytest

from core.data import matching, tables
from core.data.columns import Columns, guess
from core.data.layout import is_unlabelled
from core.data.matching import apply, guessed, index
from core.data.scan import scan
from core.data.tables import Table, find_tables, read_table
from core.errors import DataError
from tests.hostile import jpeg, write_photos
from tests.scanned import counts, error_for, finding, kinds, reasons

PATHS = [f"images/{number:03}.jpg" for number in range(12)]
LABELS = ["cat", "dog", "fox"] * 4


def write(
    folder: Path, rows: list[list[str]], name: str = "labels.csv", encoding: str = "utf-8", sign: str = ","
) -> Path:
    text = io.StringIO()
    csv.writer(text, delimiter=sign).writerows(rows)
    path = folder / name
    path.write_bytes(text.getvalue().encode(encoding))
    return path


def rows_of(paths: list[str] = PATHS, header: tuple[str, ...] = ("file", "label")) -> list[list[str]]:
    return [list(header), *([path, label] for path, label in zip(paths, LABELS, strict=False))]


def guess_of(rows: list[list[str]], paths: list[str] = PATHS) -> Columns | None:
    return guess([tuple(row) for row in rows], index(paths).find, len(paths))


# Reading


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
@pytest.mark.parametrize("sign", [",", ";", "\t", "|"])
def test_every_usual_encoding_and_delimiter_is_read(tmp_path, encoding, sign):
    rows = [["file", "label"], ["Bär 1.jpg", "Bär, braun"], ["Bär 2.jpg", "Wolf; grau"]]
    assert read_table(write(tmp_path, rows, encoding=encoding, sign=sign)).rows == tuple(map(tuple, rows))


def test_quoted_cells_keep_their_lines_and_short_rows_are_filled(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('file,label,note\r\na.jpg,"cat, ""big""","two\nlines"\r\n\r\nb.jpg,dog\r\n', "utf-8")
    assert read_table(path).rows[1:] == (("a.jpg", 'cat, "big"', "two\nlines"), ("b.jpg", "dog", ""))


@pytest.mark.parametrize(
    ("data", "key"),
    [
        (b"", "tables.empty"),
        (b"\n\n  \n", "tables.empty"),
        (b"only\none\ncolumn\n", "tables.one_column"),
        (b"a,b\n" + b'"' + b"x" * 200_000, "tables.broken"),
        (b"a," * 1_000_000, "tables.too_wide"),
        (b"x" * 50_000_000, "tables.too_wide"),
        (b"x," * 25_000_000, "tables.too_wide"),
    ],
)
def test_what_is_no_table_says_so(tmp_path, data, key):
    path = tmp_path / "labels.csv"
    path.write_bytes(data)
    with pytest.raises(DataError) as caught:
        read_table(path)
    assert caught.value.key == key
    assert "labels.csv" in caught.value.message
    assert caught.value.hint


def test_limits_on_bytes_rows_and_cells_hold(tmp_path, monkeypatch):
    path = write(tmp_path, rows_of())
    for name, limit, key in (
        ("MOST_BYTES", 10, "too_large"), ("MOST_ROWS", 12, "too_long"), ("MOST_CELLS", 25, "too_long")
    ):  # fmt: skip
        with monkeypatch.context() as patch:
            patch.setattr(tables, name, limit)
            with pytest.raises(DataError) as caught:
                read_table(path)
            assert caught.value.key == f"tables.{key}"
    assert len(read_table(path).rows) == 13


def test_one_long_row_cannot_make_a_short_table_wide_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "MOST_CELLS", 1000)
    path = write(tmp_path, [["a"] * 400, *(["a", "b"] for _ in range(100))])
    with pytest.raises(DataError, match="too many rows or cells"):
        read_table(path)


def test_a_table_that_is_gone_or_a_folder_says_so(tmp_path):
    for path in (tmp_path / "gone.csv", tmp_path):
        with pytest.raises(DataError) as caught:
            read_table(path)
        assert caught.value.key == "tables.unreadable"


def test_tables_are_found_beside_photos_but_not_hidden_nor_behind_links(tmp_path):
    for name in ("labels.csv", "train/part.TSV", "train/notes.txt", ".secret/a.csv", ".b.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text("a,b")
    (tmp_path / "link.csv").symlink_to(tmp_path / "labels.csv")
    assert find_tables(tmp_path) == ("labels.csv", "train/part.TSV")


# Guessing


def test_columns_are_guessed_by_what_stands_in_them():
    rows = [["nr", "photo", "sex", "species", "split"]]
    rows += [[str(n), PATHS[n].split("/")[1], "fm"[n % 2], LABELS[n], "train" if n < 8 else "test"] for n in range(12)]
    found = guess_of(rows)
    assert found == Columns(file=1, label=3, part=4, others=(0, 2), header=True)


def test_names_without_ending_as_kaggle_has_them_are_names():
    rows = [["id", "breed"], *([f"{n:03}", LABELS[n]] for n in range(12))]
    found = guess_of(rows)
    assert found is not None
    assert (found.file, found.label) == (0, 1)


def test_a_table_without_a_header_loses_no_row(tmp_path):
    rows = rows_of()[1:]
    found = guess_of(rows)
    assert found == Columns(0, 1, header=False)
    applied = apply(Table("t.csv", tuple(map(tuple, rows))), found, PATHS)
    assert len(applied.labels) == 12
    assert Table("t.csv", tuple(map(tuple, rows))).header(found) == ("1", "2")


def test_one_column_a_class_is_understood():
    rows = [["image", "MEL", "NV", "BCC"]]
    rows += [[f"{n:03}", *("1.0" if n % 3 == place else "0.0" for place in range(3))] for n in range(12)]
    found = guess_of(rows)
    assert found is not None
    assert (found.label, found.one_hot) == (None, (1, 2, 3))
    applied = apply(Table("t.csv", tuple(map(tuple, rows))), found, PATHS)
    assert [applied.labels[path] for path in PATHS] == ["MEL", "NV", "BCC"] * 4


def test_yes_and_no_in_a_column_called_is_valid_are_parts():
    rows = [["name", "label", "is_valid"], *([PATHS[n], LABELS[n], str(n % 4 == 0)] for n in range(12))]
    found = guess_of(rows)
    assert found is not None
    applied = apply(Table("t.csv", tuple(map(tuple, rows))), found, PATHS)
    assert [applied.parts[path] for path in PATHS] == ["val", "train", "train", "train"] * 3


def test_a_column_that_tells_photos_apart_is_no_class():
    rows = [["file", "checksum"], *([path, f"{n:08x}"] for n, path in enumerate(PATHS))]
    found = guess_of(rows)
    assert found is not None
    assert found.label is None


def test_a_table_about_something_else_is_not_taken():
    assert guess_of([["city", "country"], ["Rome", "Italy"], ["Paris", "France"]]) is None
    assert guess_of([]) is None


# Matching


@pytest.mark.parametrize(
    "cell",
    [
        "train/Cat 1.JPG", "Cat 1.JPG", "cat 1.jpg", "Cat 1", "./train/Cat 1.JPG", "train\\Cat 1.JPG",
        "/home/ann/data/train/Cat 1.JPG", "C:\\data\\Cat 1.JPG", " Cat 1.JPG ",
    ],
)  # fmt: skip
def test_a_photo_is_found_by_any_usual_name(cell):
    assert index(["train/Cat 1.JPG", "train/b.jpg"]).find(cell) == "train/Cat 1.JPG"


@pytest.mark.parametrize(
    "cell", ["", "/", "..", "../..", "a\0.jpg", "nowhere.jpg", "x" * 100_000, "=1+1", "/etc/passwd"]
)
def test_what_names_no_photo_finds_none(cell):
    assert index(["train/Cat 1.JPG", "train/b.jpg"]).find(cell) is None


def test_a_name_that_two_folders_have_is_not_guessed_but_its_path_is_known():
    names = index(["train/1.jpg", "test/1.jpg"], "train/labels.csv")
    assert names.find("test/1.jpg") == "test/1.jpg"
    assert names.find("1.jpg") == "train/1.jpg", "from where the table lies"
    assert index(["train/1.jpg", "test/1.jpg"], "labels.csv").find("1.jpg") is None


def test_a_photo_that_came_under_a_safer_name_is_found_by_its_own():
    assert index(["cat_ why_.jpg"]).find("cat? why?.jpg") == "cat_ why_.jpg"


def test_rows_without_photos_photos_without_rows_and_torn_rows_are_told(tmp_path):
    rows = [*rows_of()[:-1], ["gone.jpg", "cat"], ["images/000.jpg", "dog"], ["images/001.jpg", "dog"]]
    applied = apply(Table("t.csv", tuple(map(tuple, rows))), Columns(0, 1), PATHS)
    assert (applied.unmatched, applied.unmatched_count) == (("gone.jpg",), 1)
    assert applied.without_row == ("images/011.jpg",)
    assert applied.torn == ("images/000.jpg",)
    assert applied.labels["images/000.jpg"] == ""
    assert applied.labels["images/001.jpg"] == "dog"
    assert applied.rows == 14


def test_class_names_are_one_clean_line():
    rows = (("file", "label"), ("images/000.jpg", " big\n cat\u202e\0 "), ("images/001.jpg", "x" * 500))
    applied = apply(Table("t.csv", rows), Columns(0, 1), PATHS)
    assert applied.labels["images/000.jpg"] == "big cat"
    assert len(applied.labels["images/001.jpg"]) == 80


def test_other_columns_are_kept_for_groups():
    rows = [
        ("file", "label", "patient"),
        *((path, label, f"p{n % 4}") for n, (path, label) in enumerate(zip(PATHS, LABELS, strict=True))),
    ]
    told = matching.values(Table("t.csv", tuple(rows)), Columns(0, 1, others=(2,)), PATHS)
    assert set(told) == {"patient"}
    assert told["patient"]["images/005.jpg"] == "p1"


# In a set


@pytest.fixture
def loose(tmp_path: Path) -> Path:
    return write_photos(tmp_path / "set", {"": 12})


def test_loose_photos_and_a_table_are_a_set(loose):
    write(loose, rows_of([f"{number:03}.jpg" for number in range(12)]))
    report = scan(loose)
    assert counts(report) == {"cat": 4, "dog": 4, "fox": 4}
    assert report.left_out == ()
    assert "“label”" in finding(report, "table").text
    assert "12 photos" in finding(report, "table").text


def test_the_same_photos_by_folders_and_by_table_have_one_fingerprint(loose, tmp_path):
    write(loose, rows_of([f"{number:03}.jpg" for number in range(12)]))
    for number, label in enumerate(LABELS):
        folder = tmp_path / "folders" / label
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.jpg").write_bytes((loose / f"{number:03}.jpg").read_bytes())
    assert scan(loose).fingerprint == scan(tmp_path / "folders").fingerprint


def test_a_table_beside_class_folders_changes_nothing_by_itself(tmp_path):
    write_photos(tmp_path, {"cat": 3, "dog": 3})
    write(tmp_path, [["file", "label"], *([f"cat/{n:03}.jpg", "fox"] for n in range(3))])
    report = scan(tmp_path)
    assert counts(report) == {"cat": 3, "dog": 3}
    assert reasons(report) == {"labels.csv": "table"}
    read = guessed(tmp_path, "labels.csv", [photo.path for photo in report.photos])
    assert read is not None
    assert read.classes == ("fox",)


def test_photos_without_a_row_wait_for_a_label_on_the_page_and_are_listed_in_the_terminal(loose):
    write(loose, rows_of([f"{number:03}.jpg" for number in range(9)]))
    on_page = scan(loose, loose="unlabelled")
    assert [photo.path for photo in on_page.unlabelled] == ["009.jpg", "010.jpg", "011.jpg"]
    assert finding(on_page, "unlabelled").values == {"n": 3}
    in_terminal = scan(loose)
    assert reasons(in_terminal) == dict.fromkeys(["009.jpg", "010.jpg", "011.jpg"], "untold")
    assert on_page.fingerprint == in_terminal.fingerprint


def test_a_table_may_divide_the_photos_and_name_what_is_not_there(loose):
    rows = [["file", "label", "split"]]
    rows += [[f"{n:03}.jpg", LABELS[n], "test" if n < 3 else "train"] for n in range(12)]
    write(loose, [*rows, ["999.jpg", "cat", "train"]])
    report = scan(loose)
    assert [photo.part for photo in report.photos] == ["test"] * 3 + ["train"] * 9
    assert "999.jpg" in finding(report, "table_unmatched").text


def test_of_several_tables_the_one_that_says_most_is_used(loose):
    write(loose, rows_of([f"{number:03}.jpg" for number in range(12)]), "train.csv")
    write(loose, [["file", "label"], *([f"{n:03}.jpg", "cat"] for n in range(12))], "sample_submission.csv")
    report = scan(loose)
    assert finding(report, "table").values["file"] == "train.csv"
    assert reasons(report) == {"sample_submission.csv": "table"}


# To label


@pytest.mark.parametrize(
    "name",
    ["to label", "To Label", "to_label", "ToLabel", "unlabelled", "Unlabeled", "UNSORTED", "not-labelled", "_unsorted"],
)
def test_a_folder_to_label_is_no_class(tmp_path, name):
    assert is_unlabelled(name)
    report = scan(write_photos(tmp_path, {"cat": 2, "dog": 2, f"{name}/phone": 3}))
    assert counts(report) == {"cat": 2, "dog": 2}
    assert {photo.label for photo in report.unlabelled} == {""}
    assert len(report.unlabelled) == 3
    assert report.left_out == ()
    assert report.fingerprint == scan(write_photos(tmp_path / "again", {"cat": 2, "dog": 2})).fingerprint


@pytest.mark.parametrize("name", ["label", "sorted", "to", "tolabels of wine", "unknown"])
def test_other_folders_stay_classes(name):
    assert not is_unlabelled(name)


def test_photos_to_label_inside_and_beside_given_parts(tmp_path):
    folders = ["train/cat", "train/dog", "test/cat", "test/dog", "train/unlabelled", "to label"]
    report = scan(write_photos(tmp_path, dict.fromkeys(folders, 2)))
    assert counts(report) == {"cat": 4, "dog": 4}
    assert {photo.path.rpartition("/")[0]: photo.part for photo in report.unlabelled} == {
        "train/unlabelled": "train", "to label": None
    }  # fmt: skip


def test_photos_to_label_beside_a_wrapping_are_found(tmp_path):
    report = scan(write_photos(tmp_path, {"photos/cat": 2, "photos/dog": 2, "to label": 3}))
    assert (counts(report), len(report.unlabelled)) == ({"cat": 2, "dog": 2}, 3)


def test_loose_photos_wait_for_a_label_where_the_page_asks_and_are_left_out_elsewhere(tmp_path):
    write_photos(tmp_path, {"train/cat": 2, "train/dog": 2, "test/cat": 1, "test/dog": 1, "test": 3})
    (tmp_path / "loose.jpg").write_bytes(jpeg(99))
    on_page = scan(tmp_path, loose="unlabelled")
    assert {photo.path: photo.part for photo in on_page.unlabelled}["loose.jpg"] is None
    assert [photo.part for photo in on_page.unlabelled].count("test") == 3
    assert set(reasons(scan(tmp_path)).values()) == {"loose", "no_class"}


def test_a_set_of_only_loose_photos_opens_on_the_page_and_is_refused_elsewhere(tmp_path):
    write_photos(tmp_path, {"": 5})
    report = scan(tmp_path, loose="unlabelled")
    assert (report.photos, len(report.unlabelled), kinds(report)) == ((), 5, {"unlabelled"})
    assert error_for(tmp_path) == "data.scan.no_classes"


def test_a_set_of_only_photos_to_label_is_refused_in_the_terminal(tmp_path):
    write_photos(tmp_path, {"to label": 5})
    assert error_for(tmp_path) == "data.scan.no_classes"
    assert len(scan(tmp_path, loose="unlabelled").unlabelled) == 5
