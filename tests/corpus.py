"""A corpus of hostile and broken files, and the ways in that it is sent through: ``python -m tests.corpus WAY FOLDER``.

Each way prints one JSON object: what came of every piece, the most seconds of the processor that one took (on a busy
machine the clock says nothing), and the most memory that the process held. It runs in a process of its own, so that its
memory is its own too. Nothing is random.
"""

import json
import os
import re
import sys
import time
import unicodedata
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

from core.data import datasets, intake, piles, scanning
from core.data.intake import Upload
from core.data.quota import Quota
from core.data.report import DatasetReport
from core.data.scan import scan
from core.data.store import Dataset
from core.errors import CoreError
from core.workspace import Workspace
from pages.server.batch import BadBatchError, Batch
from tests import hostile
from tests.hostile import ODD, UNUSABLE, encoded, jpeg, picture, zip_of

KINDS = {"JPEG": ".jpg", "PNG": ".png", "GIF": ".gif", "WEBP": ".webp", "BMP": ".bmp", "TIFF": ".tif"}
PIECES = 16
DEEP = 60
MANY = 10_000
SOUND = {f"sound/{number}.jpg": jpeg(1000 + number) for number in range(3)}  # beside these a set has two classes

# Names as no honest program makes them. NUL and empty ones can't lie on a disk; they come over HTTP and in zips.
NAMES = (
    "../../outside.jpg", "/etc/outside.jpg", "C:\\outside.jpg", "a\0b.jpg",
    "right \u202egpj.exe.jpg", "x" * 300 + ".jpg",
    "é" * 150 + ".jpg", "CON.jpg", "nul/a.jpg", "AUX", "😀/🐈‍⬛.jpg", "Same/A.jpg", "same/a.jpg", "SAME/a.JPG",
    unicodedata.normalize("NFC", "käfer/ü.jpg"), unicodedata.normalize("NFD", "käfer/ü.jpg"), " lead/ trail .jpg ",
    "dot./a.jpg", "a/./b/../c.jpg", "-rf.jpg", "$(reboot).jpg", "<b>bold</b>.jpg", "line\nbreak.jpg", ".hidden.jpg",
    "", "/", "..", ".", "\ud800.jpg", "%2e%2e/a.jpg", "a" * 9000 + ".jpg", "d/" * DEEP + "deep.jpg", "tab\t.jpg",
    "train/train/train.jpg", "__MACOSX/._a.jpg", "thumbs.db", "photo.jpg.exe", "jpg", "a.JPG ", "to label/x.jpg",
)  # fmt: skip


def photos() -> dict[str, bytes]:
    """File name → bytes: each kind cut off at every sixteenth, under wrong names, with declared sizes beyond reason."""
    found: dict[str, bytes] = {}
    whole = {kind: encoded(picture(seed=7), kind) for kind in KINDS}
    for kind, suffix in KINDS.items():
        for piece in range(PIECES):
            found[f"cut {piece:02} of {kind}{suffix}"] = whole[kind][: len(whole[kind]) * piece // PIECES]
        for other, wrong in KINDS.items():
            if other != kind:
                found[f"{kind} called{wrong}"] = whole[kind]
        found[f"magic alone {kind}{suffix}"] = whole[kind][:12] + bytes(range(256)) * 20
        found[f"no magic {kind}{suffix}"] = bytes(12) + whole[kind][12:]
        found[f"turned around {kind}{suffix}"] = whole[kind][::-1]
    found |= {f"giant {name}": data for name, data in giants(whole).items()}
    found |= {f"odd {name}": make() for name, make in ODD.items()}
    found |= {f"unusable {name}": make() for name, (_, make) in UNUSABLE.items()}
    return found


def giants(whole: dict[str, bytes]) -> dict[str, bytes]:
    """Headers that declare more pixels than any memory holds."""
    most16, most32 = b"\xff\xff", b"\x7f\xff\xff\xff"
    width, height = (size.to_bytes(4, "little") for size in picture().size)
    tiff = whole["TIFF"]
    for size in (picture().width, picture().height):
        tiff = tiff.replace(size.to_bytes(2, "little") + b"\0\0", b"\xff\xff\xff\x7f", 1)
    return {
        "a.jpg": hostile.resized_jpeg(whole["JPEG"], 65_500, 65_500),
        "b.png": whole["PNG"][:16] + most32 + most32 + whole["PNG"][24:],
        "c.gif": whole["GIF"][:6] + most16 + most16 + whole["GIF"][10:],
        "d.bmp": whole["BMP"].replace(width + height, b"\xff\xff\xff\x7f" * 2, 1),
        "e.tif": tiff,
        "f.webp": whole["WEBP"][:26] + b"\xff\x3f\xff\x3f" + whole["WEBP"][30:],
        "g.png": hostile.flat_png(30_000, 30_000),
        "h.jpg": hostile.flat_jpeg(20_000, 15_000),
    }


def archives() -> dict[str, bytes]:
    """Zips that lie, nest, link, explode or end too early."""
    plain = zip_of({"cat/a.jpg": jpeg(1), "dog/b.jpg": jpeg(2)})
    found = {f"cut {piece:02}.zip": plain[: len(plain) * piece // PIECES] for piece in range(PIECES)}
    nested = zip_of({"cat/a.jpg": jpeg(1), "dog/inner.zip": plain})
    with warnings.catch_warnings(action="ignore"):  # zipfile's, that a name comes twice
        twice = zip_of([("cat/a.jpg", jpeg(1)), ("cat/a.jpg", jpeg(2)), ("dog/a.jpg", jpeg(3))])
    names = [(name, jpeg(3)) for name in NAMES if name and not re.search("[\0\ud800]", name)]
    return {
        **found,
        "plain.zip": plain,
        "in itself.zip": zip_of({"outer.zip": nested}),
        "zip in zip.zip": nested,
        "links.zip": zip_of([(hostile.link_member("cat/link.jpg"), b"/etc/passwd"), ("dog/a.jpg", jpeg(1))]),
        "locked.zip": hostile.with_flags(plain, 0x1),
        "bomb.zip": hostile.bomb(),
        "empty.zip": zip_of({}),
        "names.zip": zip_of([*names, *SOUND.items()]),
        "nul.zip": hostile.with_bytes(zip_of({"cat/a@b.jpg": jpeg(1), **SOUND}), b"a@b", b"a\0b"),
        "twice.zip": twice,
        "text.zip": b"This is no zip.",
        "rar.zip": b"Rar!\x1a\x07\x00" + bytes(100),
        "only a table.zip": zip_of({"labels.csv": b"a,b\n1,2\n"}),
    }


def tables() -> dict[str, bytes]:
    """Tables of the photos a.jpg to d.jpg, and of much else."""
    rows = "".join(f"{name}.jpg,{label}\r\n" for name, label in zip("abcd", ("cat", "cat", "dog", "dog"), strict=True))
    header = "file,label\r\n"
    return {
        "plain.csv": (header + rows).encode(),
        "formulas.csv": (header + rows.replace("cat", "=HYPERLINK(1)").replace("dog", "@SUM(1)")).encode(),
        "nul.csv": (header + rows.replace("cat", "c\0at")).encode(),
        "paths.csv": (header + rows + "../../../etc/passwd,cat\r\n/dev/zero,dog\r\n\\\\host\\share,dog\r\n").encode(),
        "unclosed.csv": (header + rows + '"' + "x" * 300_000).encode(),
        "one line.csv": b"x" * 50_000_000,
        "one line with commas.csv": b"x," * 25_000_000,
        "many columns.csv": b",".join([b"a"] * 1_000_000) + b"\n" + b",".join([b"b"] * 1_000_000),
        "many rows.csv": (header + rows).encode() + b"nowhere.jpg,cat\r\n" * 300_000,
        "too many rows.csv": (header + rows).encode() + b"n,c\r\n" * 500_000,
        "half utf-16.csv": (header + rows).encode("utf-16")[:-3],
        "noise.csv": bytes(range(256)) * 4000,
        "picture.csv": jpeg(),
        "empty.csv": b"",
        "only header.csv": header.encode(),
        "same name twice.csv": (header + rows + "a.jpg,dog\r\n").encode(),
        "markup.csv": (header + rows.replace("cat", "<img src=x onerror=alert(1)>")).encode(),
        "wide first row.csv": (",".join("abcdefghij" * 50) + "\n" + rows).encode(),
    }


# Ways in


def by_folder(folder: Path) -> dict[str, Any]:
    root = write_all(folder / "set", {f"broken/{name}": data for name, data in photos().items()} | SOUND)
    with measured() as told:
        told["report"] = summary(scan(root))
    return told


def by_zip(folder: Path) -> dict[str, Any]:
    upload = intake.begin(Workspace(folder), purpose="dataset")
    data = zip_of({f"broken/{name}": data for name, data in photos().items()} | SOUND, stored=True)
    with measured() as told:
        intake.receive(upload, "set.zip", data, quota=Quota(free_bytes=0))
        told["report"] = summary(adopted(upload))
    return told


def by_upload(folder: Path) -> dict[str, Any]:
    upload = intake.begin(Workspace(folder), purpose="dataset")
    with measured() as told:
        send(upload, {f"set/broken/{name}": data for name, data in photos().items()})
        send(upload, {f"set/{name}": data for name, data in SOUND.items()})
        told["report"] = summary(adopted(upload))
    return told


def by_class(folder: Path) -> dict[str, Any]:
    """Also how pasted and recorded photos come."""
    upload = intake.begin(Workspace(folder), purpose="classes")
    with measured() as told:
        for label in ("broken", "sound"):
            piles.add_class(upload, label)
        send(upload, {f"broken/{name}": data for name, data in photos().items()})
        send(upload, SOUND)
        told["counts"] = piles.classes(upload)
        told["kept"] = piles.without_empty(upload)
        told["report"] = summary(adopted(upload))
    return told


def by_names(folder: Path) -> dict[str, Any]:
    """Every name over HTTP and, where the disk takes it, in a folder."""
    upload = intake.begin(Workspace(folder / "workspace"), purpose="dataset")
    answers: Counter[str] = Counter()
    with measured() as told:
        for place, name in enumerate(NAMES):
            try:
                answers[str(send(upload, {name: jpeg(place)})[0]["state"])] += 1
            except BadBatchError:
                answers["bad request"] += 1
        send(upload, SOUND)
        told["answers"] = answers
        told["uploaded"] = summary(adopted(upload))
        root = write_all(folder / "set", SOUND)
        told["on disk"] = sum(write_if_possible(root, name, jpeg(place)) for place, name in enumerate(NAMES))
        told["scanned"] = summary(scan(root))
    inside = (folder / "workspace" / "me" / "datasets", root)
    found = [
        path for path in folder.parent.rglob("outside.jpg*") if not any(path.is_relative_to(home) for home in inside)
    ]
    told["outside"] = [str(path) for path in found]
    return told


def by_archives(folder: Path) -> dict[str, Any]:
    """Each zip as somebody's whole data set."""
    outcomes: dict[str, Any] = {}
    with measured() as told:
        for place, (name, data) in enumerate(archives().items()):
            began = time.process_time()
            upload = intake.begin(Workspace(folder / str(place)), purpose="dataset")
            intake.receive(upload, name, data, quota=Quota(free_bytes=0))
            outcomes[name] = outcome(lambda upload=upload: adopted(upload))
            told["longest"] = max(told["longest"], time.process_time() - began)
    return {**told, "outcomes": outcomes}


def by_tables(folder: Path) -> dict[str, Any]:
    """Each table beside four loose photos."""
    outcomes: dict[str, Any] = {}
    with measured() as told:
        for place, (name, data) in enumerate(tables().items()):
            loose = {f"{letter}.jpg": jpeg(seed) for seed, letter in enumerate("abcd")}
            root = write_all(folder / str(place), loose | {name: data})
            began = time.process_time()
            outcomes[name] = outcome(lambda root=root: scan(root, loose="unlabelled"))
            told["longest"] = max(told["longest"], time.process_time() - began)
    return {**told, "outcomes": outcomes}


def by_many(folder: Path) -> dict[str, Any]:
    """Ten thousand tiny members, all different, sixty folders deep and flat."""
    tiny = encoded(Image.new("RGB", (8, 8), (200, 30, 60)), "JPEG")
    labels = ("cat", "dog")
    members = {f"{labels[number % 2]}/{number}.jpg": tiny + number.to_bytes(4, "big") for number in range(MANY)}
    members |= {f"deep/{'d/' * DEEP}{number}.jpg": jpeg(number) for number in range(3)}
    upload = intake.begin(Workspace(folder), purpose="dataset")
    intake.receive(upload, "many.zip", zip_of(members, stored=True), quota=Quota(free_bytes=0))
    with measured() as told:
        told["report"] = summary(adopted(upload))
    return told


WAYS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "folder": by_folder, "zip": by_zip, "upload": by_upload, "classes": by_class, "names": by_names,
    "archives": by_archives, "tables": by_tables, "many": by_many,
}  # fmt: skip


# What they are made of


def send(upload: Upload, files: dict[str, bytes]) -> list[dict[str, object]]:
    """As the page sends them: many in a body, which comes in pieces that keep to no border."""
    listed = json.dumps([{"name": name, "size": len(data)} for name, data in files.items()]).encode()
    body = len(listed).to_bytes(4, "big") + listed + b"".join(files.values())
    batch = Batch(upload, Quota(free_bytes=0))
    try:
        for start in range(0, len(body), 99_991):
            batch.feed(body[start : start + 99_991])
        return batch.finish()
    finally:
        batch.close()


def adopted(upload: Upload) -> DatasetReport:
    """What a data set of this upload comes to, scanned here; raises what its page would show."""
    began: list[Dataset] = []
    start, datasets.start_scan = datasets.start_scan, lambda dataset: began.append(dataset) or True
    try:
        dataset = datasets.adopt(upload.workspace, upload)
    finally:
        datasets.start_scan = start
    scanning.work(dataset)
    state = datasets.watch(dataset)
    if state.error is not None:
        raise state.error
    assert state.report is not None, state.log
    return state.report


def outcome(make: Callable[[], DatasetReport]) -> str:
    """``"2 photos, 0 to label, 1 left out"``, or the error's key; anything else is raised."""
    try:
        report = make()
    except CoreError as error:
        return error.key if error.message and error.hint else f"{error.key} says nothing"
    assert all(row.text for row in (*report.left_out, *report.findings))
    return f"{len(report.photos)} photos, {len(report.unlabelled)} to label, {len(report.left_out)} left out"


def summary(report: DatasetReport) -> dict[str, Any]:
    assert all(row.text for row in (*report.left_out, *report.findings))
    reasons = Counter(row.reason for row in report.left_out)
    used = sorted(photo.path.rpartition("/")[2] for photo in report.photos)
    return {
        "counts": dict(report.counts),
        "unlabelled": len(report.unlabelled),
        "reasons": dict(sorted(reasons.items())),
        "cut but used": [name for name in used if name.startswith("cut ")],
        "fingerprint": report.fingerprint,
    }


def write_all(root: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def write_if_possible(root: Path, name: str, data: bytes) -> bool:
    """As a path below ``root``, whatever the name says."""
    try:
        path = root.joinpath("named", *(part for part in name.split("/") if part not in ("", ".", "..")))
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            file.write(data)
    except (OSError, ValueError):
        return False
    return True


@contextmanager
def measured() -> Iterator[dict[str, Any]]:
    told: dict[str, Any] = {"longest": 0.0}
    before = time.process_time()
    yield told
    told["seconds"] = round(time.process_time() - before, 2)
    told["longest"] = round(told["longest"] or told["seconds"], 2)
    status = Path("/proc/self/status")  # getrusage would count the process that started this one
    if status.exists():
        found = re.search(r"VmHWM:\s+(\d+)", status.read_text())
        told["megabytes"] = int(found[1]) * 1024 // 1_000_000 if found else 0
    else:
        import resource

        told["megabytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1000


if __name__ == "__main__":
    os.environ.setdefault("GRAFT_WORKSPACE", sys.argv[2])
    print(json.dumps(WAYS[sys.argv[1]](Path(sys.argv[2]))))
