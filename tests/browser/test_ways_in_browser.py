"""Every way in, in a real browser: the same photos end in the same data set, whichever was taken."""

import csv
import io
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.data.scan import scan
from tests.browser.serving import STAGE, Server, settled
from tests.browser.test_upload import drop, slow_down
from tests.hostile import write_photos

COUNTS = {"cat": 5, "dog": 4}


@pytest.fixture(scope="module")
def pets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("photos") / "pets", COUNTS)


@pytest.fixture(scope="module")
def server(start_server: Callable[..., Server], pets: Path) -> Server:
    return start_server(app=STAGE, environment={"GRAFT_STAGE": "bringing.py", "GRAFT_FOLDERS": str(pets.parent)})


@pytest.fixture(scope="module")
def fingerprint(pets: Path) -> str:
    return scan(pets).fingerprint


def open_page(page: Any, server: Server, query: str = "") -> None:
    page.goto(f"{server.url}/{query}")
    settled(page)


def found(page: Any) -> dict[str, str]:
    told = page.get_by_text("found: id=")
    told.wait_for(timeout=60_000)
    return dict(pair.split("=", 1) for pair in told.inner_text().split()[1:])


def choose_way(page: Any, name: str) -> None:
    page.get_by_role("radio", name=name).or_(page.get_by_role("button", name=name, exact=True)).first.click()
    settled(page)


def add_class(page: Any, name: str) -> None:
    page.get_by_label("New class").fill(name)
    page.get_by_role("button", name="Add class").click()
    page.get_by_text(f"Drop photos of “{name}” here").wait_for()
    settled(page)


def card(page: Any, name: str) -> Any:
    return page.locator("[class*='st-key-class_']").filter(has_text=f"Drop photos of “{name}” here")


def counted(page: Any, name: str, count: int) -> None:
    words = "1 photo" if count == 1 else f"{count} photos"
    page.locator("[class*='st-key-class_']").filter(has_text=re.compile(f"{name} · {words}")).wait_for(timeout=60_000)


def use(page: Any) -> dict[str, str]:
    settled(page)
    page.get_by_role("button", name="Use these photos").click()
    return found(page)


def loose_with_table(pets: Path, folder: Path) -> Path:
    rows = [["image", "what"]]
    folder.mkdir()
    for label, count in COUNTS.items():
        for number in range(count):
            shutil.copy(pets / label / f"{number:03}.jpg", folder / f"{label[0]}{number}.jpg")
            rows.append([f"{label[0]}{number}", label])
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    (folder / "labels.csv").write_text(text.getvalue(), "utf-8")
    return folder


def test_a_folder_and_a_zip_of_it_end_in_the_same_set(
    page: Any, server: Server, pets: Path, fingerprint: str, tmp_path: Path
) -> None:
    open_page(page, server)
    page.locator(".pick-folder").set_input_files(str(pets))
    told = found(page)
    assert (told["name"], told["photos"], told["classes"]) == ("pets", "9", "cat|dog")
    assert told["fingerprint"] == fingerprint
    archive = Path(shutil.make_archive(str(tmp_path / "pets"), "zip", pets))
    open_page(page, server)
    page.locator(".pick-files").set_input_files(str(archive))
    assert found(page)["fingerprint"] == fingerprint


def test_a_zip_with_parts_and_classes_keeps_both(page: Any, server: Server, pets: Path, tmp_path: Path) -> None:
    archive = tmp_path / "divided.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for part in ("train", "test"):
            for label in COUNTS:
                for number in (0, 1) if part == "test" else (2, 3):
                    packed.write(pets / label / f"{number:03}.jpg", f"{part}/{label}/{number}.jpg")
    open_page(page, server)
    page.locator(".pick-files").set_input_files(str(archive))
    told = found(page)
    assert (told["photos"], told["classes"]) == ("8", "cat|dog")


def test_photos_brought_class_by_class_chosen_and_dropped_end_in_the_same_set(
    page: Any, server: Server, pets: Path, fingerprint: str
) -> None:
    open_page(page, server)
    choose_way(page, "Class by class")
    add_class(page, "cat")
    card(page, "cat").locator(".pick-files").set_input_files([str(path) for path in sorted((pets / "cat").iterdir())])
    counted(page, "cat", 5)
    assert "way=classes" in page.url
    page.reload()  # the ids stand in the address: it goes on where it was
    settled(page)
    counted(page, "cat", 5)
    add_class(page, "dog")
    page.locator("[class*='st-key-class_']").nth(1).scroll_into_view_if_needed()
    drop(page, *sorted((pets / "dog").iterdir()), on="[class*='st-key-class_'] >> nth=1 >> .uploader .area")
    counted(page, "dog", 4)
    told = use(page)
    assert (told["name"], told["photos"]) == ("cat,_dog", "9")
    assert told["fingerprint"] == fingerprint
    assert "way=" not in page.url
    assert "classes=" not in page.url


def test_a_pasted_picture_goes_to_the_class_that_is_pointed_at(page: Any, server: Server, pets: Path) -> None:
    open_page(page, server, "?way=classes")
    for name in ("cat", "dog"):
        add_class(page, name)
    data = list((pets / "cat" / "000.jpg").read_bytes())
    paste = """(bytes) => {
      const transfer = new DataTransfer()
      transfer.items.add(new File([new Uint8Array(bytes)], "image.jpg", { type: "image/jpeg" }))
      document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true }))
    }"""
    page.mouse.move(1, 1)
    page.evaluate(paste, data)  # nobody points at a class: it could be any
    card(page, "dog").locator(".uploader").hover()
    page.evaluate(paste, data)
    counted(page, "dog", 1)
    counted(page, "cat", 0)


def test_a_class_is_taken_out_and_brought_back_without_losing_a_photo(
    page: Any, server: Server, pets: Path, fingerprint: str
) -> None:
    open_page(page, server, "?way=classes")
    for label in COUNTS:
        add_class(page, label)
        files = [str(path) for path in sorted((pets / label).iterdir())]
        card(page, label).locator(".pick-files").set_input_files(files)
        counted(page, label, len(files))
    settled(page)
    page.locator("[class*='st-key-remove_']").first.get_by_role("button").click()
    page.get_by_text("“cat” was taken out (5 photos)").wait_for()
    add_class(page, "cat")  # and something else comes under its name meanwhile
    card(page, "cat").locator(".pick-files").set_input_files(str(pets / "cat" / "000.jpg"))
    counted(page, "cat", 1)
    settled(page)
    page.get_by_role("button", name="Bring it back").click()
    counted(page, "cat", 5)
    assert use(page)["fingerprint"] == fingerprint


def test_photos_cannot_be_used_while_some_are_on_their_way(
    page: Any, server: Server, pets: Path, tmp_path: Path
) -> None:
    large = tmp_path / "large.jpg"
    large.write_bytes((pets / "cat" / "000.jpg").read_bytes() + bytes(3_000_000))
    open_page(page, server, "?way=classes")
    button = page.get_by_role("button", name="Use these photos")
    assert button.is_disabled()
    add_class(page, "cat")
    slow_down(page, 500_000)
    card(page, "cat").locator(".pick-files").set_input_files([str(large), str(pets / "cat" / "001.jpg")])
    page.locator("[role=progressbar]").wait_for()
    page.wait_for_timeout(1000)
    assert button.is_disabled()
    counted(page, "cat", 2)
    settled(page)
    assert button.is_enabled()


def test_a_class_goes_on_by_itself_when_the_server_is_killed_in_the_middle(
    page: Any, start_server: Callable[..., Server], pets: Path, tmp_path: Path
) -> None:
    own = start_server(app=STAGE, environment={"GRAFT_STAGE": "bringing.py"})
    data = (pets / "cat" / "000.jpg").read_bytes()
    many = [tmp_path / f"{number}.jpg" for number in range(60)]
    for number, path in enumerate(many):
        path.write_bytes(data + number.to_bytes(4, "big") + bytes(60_000))
    open_page(page, own, "?way=classes")
    add_class(page, "cat")
    slow_down(page, 1_000_000)
    card(page, "cat").locator(".pick-files").set_input_files([str(path) for path in many])
    page.locator("[role=progressbar]:not([aria-valuenow='0'])").wait_for()
    page.wait_for_timeout(1000)
    own.restart()
    slow_down(page, -1)
    page.locator(".outcome").get_by_text("All 60 files have arrived").wait_for(timeout=60_000)
    page.reload()
    settled(page)
    counted(page, "cat", 60)
    assert len({path.read_bytes() for path in own.workspace.glob("me/uploads/*/photos/cat/*")}) == 60


@pytest.mark.parametrize("name", ["to label", "a/b", "CON", ".hidden"])
def test_a_name_that_is_no_class_is_refused_with_the_next_step(page: Any, server: Server, name: str) -> None:
    open_page(page, server, "?way=classes")
    page.get_by_label("New class").fill(name)
    page.get_by_role("button", name="Add class").click()
    page.locator("[data-testid=stAlert]").wait_for()
    assert page.locator("[class*='st-key-class_']").count() == 0


def test_loose_photos_with_a_table_end_in_the_same_set(
    page: Any, server: Server, pets: Path, fingerprint: str, tmp_path: Path
) -> None:
    folder = loose_with_table(pets, tmp_path / "loose")
    open_page(page, server)
    page.locator(".pick-files").set_input_files([str(path) for path in sorted(folder.iterdir())])
    told = found(page)
    assert (told["name"], told["unlabelled"], told["classes"]) == ("Photos", "0", "cat|dog")
    assert told["fingerprint"] == fingerprint
    page.get_by_text("The table “labels.csv”").click()
    page.get_by_text("It says what 9 of 9 photos show: “cat”, “dog”.").wait_for()
    page.get_by_text("This is what the photos are labelled with now.").wait_for()


def test_a_zip_of_loose_photos_with_a_table_works_the_same(
    page: Any, server: Server, pets: Path, fingerprint: str, tmp_path: Path
) -> None:
    folder = loose_with_table(pets, tmp_path / "loose")
    archive = Path(shutil.make_archive(str(tmp_path / "loose"), "zip", folder))
    open_page(page, server)
    page.locator(".pick-files").set_input_files(str(archive))
    assert found(page)["fingerprint"] == fingerprint


def test_a_table_beside_class_folders_is_offered_and_used_in_one_step(
    page: Any, server: Server, pets: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "named wrongly"
    shutil.copytree(pets, folder)
    rows = ["file,species,size"] + [f"{label}/{n:03}.jpg,{label}us,big" for label in COUNTS for n in range(4)]
    (folder / "labels.csv").write_text("\n".join([*rows, "cat/999.jpg,catus,big"]), "utf-8")
    open_page(page, server)
    page.locator(".pick-folder").set_input_files(str(folder))
    assert found(page)["classes"] == "cat|dog"
    page.get_by_text(re.compile("^The table “.*labels.csv”")).click()
    page.get_by_text("It says what 8 of 9 photos show: “catus”, “dogus”.").wait_for()
    assert page.get_by_role("button", name="1 row names a file that isn't there").is_visible()
    assert page.get_by_role("button", name="1 photo has no row").is_visible()
    settled(page)
    page.get_by_role("button", name="Use this table").click()
    page.get_by_text("classes=cat|catus|dogus version=1").wait_for()


def test_loose_photos_wait_to_be_labelled(page: Any, server: Server, pets: Path) -> None:
    open_page(page, server)
    page.locator(".pick-files").set_input_files([str(path) for path in sorted((pets / "cat").iterdir())])
    told = found(page)
    assert (told["photos"], told["unlabelled"], told["name"]) == ("0", "5", "Photos")


def test_a_folder_on_the_server_ends_in_the_same_set(page: Any, server: Server, pets: Path, fingerprint: str) -> None:
    open_page(page, server)
    choose_way(page, "Folder on the server")
    page.get_by_label("Folder", exact=True).fill(str(pets))
    page.get_by_role("button", name="Use this folder").click()
    assert found(page)["fingerprint"] == fingerprint


def test_photos_are_added_to_a_set_that_is_there_class_by_class(
    page: Any, server: Server, pets: Path, fingerprint: str
) -> None:
    open_page(page, server)
    page.locator(".pick-folder").set_input_files(str(pets / "cat"))
    first = found(page)
    assert first["classes"] == "cat"
    open_page(page, server, f"?set={first['id']}&adding=1&way=classes")
    assert page.get_by_text("Folder on the server").count() == 0
    add_class(page, "dog")
    files = [str(path) for path in sorted((pets / "dog").iterdir())]
    card(page, "dog").locator(".pick-files").set_input_files(files)
    counted(page, "dog", 4)
    settled(page)
    page.get_by_role("button", name="Use these photos").click()
    page.get_by_text("classes=cat|dog version=1").wait_for(timeout=60_000)
    second = found(page)
    assert (second["id"], second["photos"], second["fingerprint"]) == (first["id"], "9", fingerprint)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 420])
def test_the_ways_in_are_accessible_and_fit(
    open_page: Callable[..., Any], server: Server, pets: Path, scheme: str, width: int
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = open_page(viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce")
    page.goto(f"{server.url}/?way=classes")
    settled(page)
    add_class(page, "cat")
    card(page, "cat").locator(".pick-files").set_input_files([str(path) for path in sorted((pets / "cat").iterdir())])
    counted(page, "cat", 5)
    page.locator("[class*='st-key-class_'] img").first.wait_for()
    page.wait_for_timeout(1000)  # nothing fades any more
    found = axe.run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"]}).response
    nodes = [(entry["id"], node["html"]) for entry in found["violations"] for node in entry["nodes"]]
    assert [(rule, html) for rule, html in nodes if "stHeader" not in html] == []
    wide = "() => { const m = document.querySelector('[data-testid=stMain]'); return m.scrollWidth - m.clientWidth }"
    assert page.evaluate(wide) <= 0
