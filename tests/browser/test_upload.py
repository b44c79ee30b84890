"""The uploader in a real browser: every way in, and everything that can break on the way."""

import base64
import re
import shutil
import struct
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.browser.serving import STAGE, Server, settled

Start = Callable[..., Server]
SLOW = 4_000_000  # bytes a second: slow enough to do something in the middle


@pytest.fixture(scope="module")
def server(start_server: Start) -> Server:
    return start_server(app=STAGE, environment={"GRAFT_STAGE": "uploading.py"})


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """120 cats in a folder (a directory is read 100 entries at a time), one dog further down, and what is no photo."""
    root = tmp_path / "pets"
    for number in range(120):
        write(root / "cat" / f"cat {number}.jpg", f"cat {number}".encode())
    write(root / "dog" / "big" / "Größe 犬.PNG", b"dog")
    write(root / "notes.txt", b"x")
    write(root / "cat" / ".DS_Store", b"x")
    write(root / "cat" / "phone.HEIC", b"x")
    return root


def write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def photos_of(folder: Path) -> dict[str, bytes]:
    """The photos of the user's folder as they must arrive: below the folder's own name."""
    kept = (path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".png"))
    return {path.relative_to(folder.parent).as_posix(): path.read_bytes() for path in kept}


def many_photos(folder: Path, count: int, size: int) -> Path:
    for number in range(count):
        write(folder / f"class {number % 3}" / f"{number}.jpg", number.to_bytes(4, "big") * (size // 4))
    return folder


def open_uploader(page: Any, server: Server, query: str = "") -> None:
    page.goto(f"{server.url}/{query}")
    settled(page)
    page.locator(".uploader .title").wait_for()


def result(page: Any, number: int = 1, seconds: float = 60) -> dict[str, str]:
    told = page.get_by_text(f"result {number}:")
    told.wait_for(timeout=seconds * 1000)
    return dict(pair.split("=") for pair in told.inner_text().split()[2:])


def on_disk(server: Server, upload: str) -> dict[str, bytes]:
    root = server.workspace / "me" / "uploads" / upload / "photos"
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def slow_down(page: Any, bytes_per_second: int = SLOW) -> None:
    session = page.context.new_cdp_session(page)
    session.send(
        "Network.emulateNetworkConditions",
        {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": bytes_per_second},
    )


def drop(page: Any, *paths: Path, on: str = ".uploader .area") -> None:
    """Drop files or folders from outside the browser, as the desktop would."""
    box = page.locator(on).bounding_box()
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    session = page.context.new_cdp_session(page)
    for kind in ("dragEnter", "dragOver", "drop"):
        place = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
        session.send("Input.dispatchDragEvent", {"type": kind, **place, "data": data})


def wait_for_share(page: Any, percent: int) -> None:
    bar = page.locator("[role=progressbar]")
    until = time.monotonic() + 60
    while int(bar.get_attribute("aria-valuenow") or 0) < percent:
        assert time.monotonic() < until, "the upload didn't get that far"
        page.wait_for_timeout(50)


def tiny_png() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0\xff\0\0")) + chunk(b"IEND", b"")


# Ways in


def test_a_chosen_folder_arrives_whole_with_its_paths(page: Any, server: Server, pets: Path) -> None:
    open_uploader(page, server)
    page.locator(".pick-folder").set_input_files(str(pets))
    told = result(page)
    assert on_disk(server, told["upload"]) == photos_of(pets)
    assert (told["sent"], told["received"], told["failed"], told["skipped"]) == ("121", "121", "0", "3")
    assert told["complete"] == "True"
    assert page.locator(".outcome").get_by_text("All 121 files have arrived").is_visible()
    assert page.outside_requests == []


def test_what_was_left_out_is_listed_by_reason_and_name(page: Any, server: Server, pets: Path) -> None:
    open_uploader(page, server)
    page.locator(".pick-folder").set_input_files(str(pets))
    result(page)  # everything has arrived: the list won't be drawn anew under the click
    page.get_by_text("3 files were left out").click()
    page.get_by_text("1 helper file of the operating system").wait_for()
    told = page.locator(".uploader details").inner_text()
    assert "1 helper file of the operating system" in told
    assert "pets/cat/.DS_Store" in told
    assert "1 photo in Apple's HEIC format" in told
    assert "1 file that isn't a photo" in told
    assert "pets/notes.txt" in told


def test_a_dropped_folder_keeps_its_class_folders(page: Any, server: Server, pets: Path) -> None:
    open_uploader(page, server)
    drop(page, pets)
    told = result(page)
    assert on_disk(server, told["upload"]) == photos_of(pets)
    assert told["skipped"] == "3"


def test_several_dropped_class_folders_keep_their_names(page: Any, server: Server, pets: Path) -> None:
    open_uploader(page, server)
    drop(page, pets / "cat", pets / "dog")
    stored = on_disk(server, result(page)["upload"])
    assert {f"pets/{name}": data for name, data in stored.items()} == photos_of(pets)


def test_a_drop_beside_the_area_does_not_leave_the_page(page: Any, server: Server, pets: Path) -> None:
    open_uploader(page, server)
    page.evaluate("window.stillHere = true")
    drop(page, pets / "cat" / "cat 1.jpg", on="input[aria-label='Elsewhere']")
    page.wait_for_timeout(500)
    assert page.evaluate("window.stillHere")


def test_a_zip_arrives_in_pieces_byte_for_byte(page: Any, server: Server, tmp_path: Path) -> None:
    archive = tmp_path / "pets.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as writer:
        for number in range(21):
            writer.writestr(f"cat/{number}.jpg", bytes([number]) * 1_000_003)
    open_uploader(page, server)
    page.locator(".pick-files").set_input_files(str(archive))
    told = result(page)
    assert on_disk(server, told["upload"]) == {"pets.zip": archive.read_bytes()}
    assert told["complete"] == "True"


def test_pictures_are_pasted_by_keyboard_and_by_button(open_page: Any, server: Server) -> None:
    page = open_page(permissions=["clipboard-read", "clipboard-write"])
    open_uploader(page, server, "?mode=photos")
    page.evaluate(
        """async (data) => {
            const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0))
            const blob = new Blob([bytes], {type: "image/png"})
            await navigator.clipboard.write([new ClipboardItem({"image/png": blob})])
        }""",
        base64.b64encode(tiny_png()).decode(),
    )
    page.keyboard.press("Control+V")
    assert result(page)["received"] == "1"
    page.get_by_role("button", name="Paste").click()
    told = result(page, 2)
    assert told["received"] == "1"
    stored = on_disk(server, told["upload"])
    assert stored
    assert all(data.startswith(b"\x89PNG") for data in stored.values())
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d .*\.png", name) for name in stored)


def test_a_clipboard_without_a_picture_or_without_permission_says_what_to_do(open_page: Any, server: Server) -> None:
    page = open_page(permissions=["clipboard-read", "clipboard-write"])
    open_uploader(page, server, "?mode=photos")
    page.evaluate("navigator.clipboard.writeText('only words')")
    page.get_by_role("button", name="Paste").click()
    page.locator(".outcome").get_by_text("no picture on the clipboard").wait_for()
    page.context.clear_permissions()
    page.evaluate("() => { navigator.clipboard.read = async () => { throw new DOMException('', 'NotAllowedError') } }")
    page.get_by_role("button", name="Paste").click()
    page.locator(".outcome").get_by_text("Press Ctrl+V instead").wait_for()


def test_photos_are_added_one_choice_after_another(page: Any, server: Server, pets: Path) -> None:
    open_uploader(page, server, "?mode=photos")
    for number in (1, 2):
        page.locator(".pick-files").set_input_files([str(pets / "cat" / f"cat {number}.jpg")])
        told = result(page, number)
        assert (told["sent"], told["received"]) == ("1", "1")
    assert len(on_disk(server, told["upload"])) == 2


def test_a_zip_among_photos_to_try_is_left_out_with_the_reason(page: Any, server: Server, tmp_path: Path) -> None:
    write(tmp_path / "a.zip", b"PK")
    open_uploader(page, server, "?mode=photos")
    page.locator(".pick-files").set_input_files([str(tmp_path / "a.zip")])
    page.get_by_text("1 file was left out").click()
    assert page.get_by_text("1 zip: unpack it").is_visible()


def test_a_folder_without_photos_says_so(page: Any, server: Server, tmp_path: Path) -> None:
    write(tmp_path / "empty" / "notes.txt", b"x")
    open_uploader(page, server)
    page.locator(".pick-folder").set_input_files(str(tmp_path / "empty"))
    assert page.locator(".outcome").get_by_text("No photos were found there").is_visible()


# What breaks on the way


def test_a_server_that_is_killed_and_started_again_costs_no_photo(
    page: Any, start_server: Start, tmp_path: Path
) -> None:
    own = start_server(app=STAGE, environment={"GRAFT_STAGE": "uploading.py"})
    photos = many_photos(tmp_path / "photos", 400, 60_000)
    open_uploader(page, own)
    slow_down(page)
    page.locator(".pick-folder").set_input_files(str(photos))
    wait_for_share(page, 25)
    pid = own.pid
    own.kill()
    page.locator(".lost").get_by_text("The connection is lost").wait_for()
    own.start()
    told = result(page)
    assert told["pid"] == str(own.pid) != str(pid)
    assert (told["sent"], told["received"], told["complete"]) == ("400", "400", "True")
    assert on_disk(own, told["upload"]) == photos_of(photos)


def test_a_zip_goes_on_where_it_was_when_the_server_is_killed(page: Any, start_server: Start, tmp_path: Path) -> None:
    own = start_server(app=STAGE, environment={"GRAFT_STAGE": "uploading.py"})
    archive = tmp_path / "all.zip"
    archive.write_bytes(b"".join(number.to_bytes(4, "big") for number in range(7_500_000)))
    open_uploader(page, own)
    slow_down(page, 8_000_000)
    page.locator(".pick-files").set_input_files(str(archive))
    wait_for_share(page, 25)
    own.restart()
    told = result(page)
    assert on_disk(own, told["upload"]) == {"all.zip": archive.read_bytes()}


def test_cancel_keeps_what_arrived_and_continue_brings_the_rest(page: Any, server: Server, tmp_path: Path) -> None:
    photos = many_photos(tmp_path / "photos", 300, 60_000)
    open_uploader(page, server)
    slow_down(page)
    page.locator(".pick-folder").set_input_files(str(photos))
    wait_for_share(page, 20)
    page.get_by_role("button", name="Cancel").click()
    told = result(page)
    assert told["cancelled"] == "True"
    assert 0 < int(told["received"]) < 300
    assert (told["complete"], told["ready"]) == ("False", "False")
    assert all(photos_of(photos)[name] == data for name, data in on_disk(server, told["upload"]).items())
    page.get_by_role("button", name="Continue").click()
    told = result(page, 2)
    assert (told["received"], told["cancelled"], told["complete"]) == ("300", "False", "True")
    assert on_disk(server, told["upload"]) == photos_of(photos)


def test_what_arrived_before_a_cancel_may_be_gone_on_with(page: Any, server: Server, tmp_path: Path) -> None:
    open_uploader(page, server)
    slow_down(page)
    page.locator(".pick-folder").set_input_files(str(many_photos(tmp_path / "photos", 300, 60_000)))
    wait_for_share(page, 20)
    page.get_by_role("button", name="Cancel").click()
    assert result(page)["ready"] == "False"
    page.get_by_role("button", name="Go on with what has arrived").click()
    assert (result(page, 2)["ready"], result(page, 2)["complete"]) == ("True", "False")


def test_after_a_reload_the_same_folder_sends_only_what_is_missing(page: Any, server: Server, tmp_path: Path) -> None:
    photos = many_photos(tmp_path / "photos", 120, 30_000)
    open_uploader(page, server)
    page.locator(".pick-folder").set_input_files(str(photos))
    upload = result(page)["upload"]
    write(photos / "class 1" / "1.jpg", b"\xff" * 30_000)  # the same name and size, another photo
    write(photos / "class 0" / "new.jpg", b"new")
    sent: list[int] = []
    page.on("request", lambda request: sent.append(int(request.headers.get("content-length", 0) or 0)))
    open_uploader(page, server, f"?upload={upload}")
    page.locator(".pick-folder").set_input_files(str(photos))
    told = result(page)
    assert (told["sent"], told["received"], told["again"], told["complete"]) == ("121", "121", "119", "True")
    stored = on_disk(server, upload)
    assert stored.pop("photos/class 1/1 (2).jpg") == b"\xff" * 30_000
    assert stored.pop("photos/class 0/new.jpg") == b"new"
    assert len(stored) == 120


def test_a_rerun_of_the_page_does_not_disturb_the_upload(page: Any, server: Server, tmp_path: Path) -> None:
    photos = many_photos(tmp_path / "photos", 200, 60_000)
    open_uploader(page, server)
    slow_down(page)
    page.locator(".pick-folder").set_input_files(str(photos))
    wait_for_share(page, 10)
    page.get_by_label("Elsewhere").fill("typed meanwhile")
    page.get_by_label("Elsewhere").press("Enter")
    told = result(page)
    assert told["complete"] == "True"
    assert on_disk(server, told["upload"]) == photos_of(photos)
    assert page.get_by_label("Elsewhere").input_value() == "typed meanwhile"


def test_leaving_while_photos_are_on_their_way_is_asked_about(page: Any, server: Server, tmp_path: Path) -> None:
    photos = many_photos(tmp_path / "photos", 200, 60_000)
    open_uploader(page, server)
    slow_down(page)
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose a folder").click()
    chooser.value.set_files(str(photos))
    wait_for_share(page, 5)
    asked: list[str] = []

    def stay(dialog: Any) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", stay)
    page.evaluate("setTimeout(() => location.reload())")
    told = result(page)
    assert asked == ["beforeunload"]
    assert told["complete"] == "True"
    page.evaluate("window.old = true")
    page.reload()  # nothing is on its way now: nobody is asked
    assert asked == ["beforeunload"]
    assert not page.evaluate("window.old")


def test_a_photo_that_vanishes_before_it_is_read_is_listed_and_the_rest_arrives(
    page: Any, server: Server, tmp_path: Path
) -> None:
    photos = many_photos(tmp_path / "photos", 200, 60_000)
    open_uploader(page, server)
    slow_down(page)
    page.locator(".pick-folder").set_input_files(str(photos))
    wait_for_share(page, 1)
    (photos / "class 2" / "98.jpg").unlink()
    told = result(page)
    assert (told["sent"], told["received"], told["skipped"], told["failed"]) == ("199", "199", "1", "0")
    assert on_disk(server, told["upload"]) == photos_of(photos)
    page.get_by_text("1 file was left out").click()
    assert page.get_by_text("1 file that the browser couldn't read").is_visible()


def test_a_full_quota_stops_the_upload_and_says_why(page: Any, start_server: Start, tmp_path: Path) -> None:
    own = start_server(app=STAGE, environment={"GRAFT_STAGE": "uploading.py", "GRAFT_MAX_UPLOAD_FILES": "150"})
    open_uploader(page, own)
    page.locator(".pick-folder").set_input_files(str(many_photos(tmp_path / "photos", 500, 1000)))
    told = result(page)
    assert told["complete"] == "False"
    assert (told["sent"], told["received"], told["failed"]) == ("500", "150", "350")
    assert len(on_disk(own, told["upload"])) == 150
    assert page.locator(".outcome").get_by_text("an upload may have 150 files").first.is_visible()


def test_an_upload_that_was_cleared_away_says_so(page: Any, server: Server, pets: Path) -> None:
    open_uploader(page, server)
    for folder in (server.workspace / "me" / "uploads").iterdir():
        if not any((folder / "photos").iterdir()):
            shutil.rmtree(folder)
    page.locator(".pick-folder").set_input_files(str(pets))
    page.locator(".outcome").get_by_text("isn't there any more").wait_for()


def test_two_thousand_photos_arrive_complete_in_ten_seconds_in_flat_memory(
    page: Any, start_server: Start, tmp_path: Path
) -> None:
    own = start_server(app=STAGE, environment={"GRAFT_STAGE": "uploading.py"})
    photos = many_photos(tmp_path / "photos", 2000, 95_000)
    open_uploader(page, own)
    before = own.rss_megabytes()
    own.forget_peak()
    began = time.perf_counter()
    page.locator(".pick-folder").set_input_files(str(photos))
    told = result(page)
    seconds = time.perf_counter() - began
    assert (told["sent"], told["received"], told["complete"]) == ("2000", "2000", "True")
    assert own.peak_rss_megabytes() - before < 40
    assert seconds < 30, "10 s is the goal on a machine that does nothing else: see benchmarks/upload.py"


# For everyone


def test_everything_can_be_done_from_the_keyboard(page: Any, server: Server, pets: Path) -> None:
    open_uploader(page, server)
    choosers: list[Any] = []
    page.on("filechooser", lambda chooser: choosers.append(chooser))
    page.mouse.click(5, 5)
    for _ in range(10):
        page.keyboard.press("Tab")
        if focused_text(page) == "Choose a folder":
            break
    assert focused_text(page) == "Choose a folder"
    page.keyboard.press("Enter")
    until = time.monotonic() + 10
    while not choosers and time.monotonic() < until:
        page.wait_for_timeout(50)
    slow_down(page, 5_000)
    choosers[0].set_files(str(pets))
    page.get_by_role("button", name="Cancel").wait_for()
    assert focused_text(page) == "Cancel", "the focus moves to what took the place of the button"
    slow_down(page, -1)
    assert result(page)["received"] == "121"
    assert focused_text(page) == "Choose a folder"
    spoken = page.locator(".uploader [role=status]")
    assert "All 121 files have arrived" in spoken.inner_text()


def focused_text(page: Any) -> str:
    return page.evaluate(
        """() => {
            let focused = document.activeElement
            while (focused?.shadowRoot?.activeElement) focused = focused.shadowRoot.activeElement
            return focused?.textContent ?? ""
        }"""
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("mode", ["dataset", "photos"])
def test_it_is_accessible_while_idle_while_sending_and_afterwards(
    open_page: Any, server: Server, tmp_path: Path, scheme: str, mode: str
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = open_page(viewport={"width": 900, "height": 900}, color_scheme=scheme)
    photos = many_photos(tmp_path / "photos", 100, 60_000)
    write(photos / "notes.txt", b"x")

    def violations() -> list[tuple[str, str]]:
        found = axe.run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"]}).response
        nodes = [(entry["id"], node) for entry in found["violations"] for node in entry["nodes"]]
        # What lies in a shadow root has a path of selectors as its target: on this page, the uploader alone.
        return [(rule, node["html"]) for rule, node in nodes if isinstance(node["target"][0], list)]

    open_uploader(page, server, f"?mode={mode}")
    page.wait_for_timeout(500)  # the theme fades in
    assert violations() == []
    slow_down(page, 2_000_000)
    page.locator(".pick-folder").set_input_files(str(photos))
    wait_for_share(page, 20)
    assert violations() == []
    result(page)
    page.get_by_text("1 file was left out").click()
    page.wait_for_timeout(500)
    assert violations() == []


@pytest.mark.parametrize("mode", ["dataset", "photos"])
def test_it_fits_a_narrow_screen(open_page: Any, server: Server, tmp_path: Path, mode: str) -> None:
    page = open_page(viewport={"width": 420, "height": 900})
    long = "a-name-without-a-space-" * 8
    write(tmp_path / "photos" / f"{long}.txt", b"x")
    write(tmp_path / "photos" / "a.jpg", b"x")
    open_uploader(page, server, f"?mode={mode}")
    page.locator(".pick-folder").set_input_files(str(tmp_path / "photos"))
    result(page)
    page.get_by_text("1 file was left out").click()
    wide = page.locator(".uploader").evaluate("element => element.scrollWidth - element.clientWidth")
    assert wide <= 0
    for button in page.locator(".uploader button:visible").all():
        box = button.bounding_box()
        assert box["height"] >= 24
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 420


def test_the_drop_area_shows_that_it_will_take_what_is_dragged(page: Any, server: Server, pets: Path) -> None:
    open_uploader(page, server)
    box = page.locator(".uploader .area").bounding_box()
    data = {"items": [], "files": [str(pets)], "dragOperationsMask": 1}
    session = page.context.new_cdp_session(page)
    for kind in ("dragEnter", "dragOver"):
        place = {"x": box["x"] + 9, "y": box["y"] + 99}
        session.send("Input.dispatchDragEvent", {"type": kind, **place, "data": data})
    assert "over" in (page.locator(".uploader").get_attribute("class") or "")
    session.send("Input.dispatchDragEvent", {"type": "dragCancel", "x": 0, "y": 0, "data": data})


def test_two_pages_upload_side_by_side(open_page: Any, server: Server, tmp_path: Path) -> None:
    pages = [open_page(), open_page()]
    folders = [many_photos(tmp_path / name, 150, 20_000) for name in ("one", "two")]
    for page, folder in zip(pages, folders, strict=True):
        open_uploader(page, server)
        page.locator(".pick-folder").set_input_files(str(folder))
    told = [result(page) for page in pages]
    assert told[0]["upload"] != told[1]["upload"]
    for one, folder in zip(told, folders, strict=True):
        assert on_disk(server, one["upload"]) == photos_of(folder)
