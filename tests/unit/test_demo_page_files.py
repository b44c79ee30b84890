"""The demo page as a file, and the runtime's files as they arrive: nothing hostile gets through either."""

import base64
import gzip
import hashlib
import io
import json
import re
import sys
import tarfile
from pathlib import Path

import pytest

from core.serve import browser_page as maker
from core.serve import runtime
from core.serve.browser_page import browser_page, json_in_script
from core.serve.guard import hash_source
from core.serve.runtime import PROGRAM, WASM, RuntimeFilesError

CONTENTS = {PROGRAM: b"export const InferenceSession = {};", WASM: b"\0asm\1\0\0\0"}
HOSTILE = [
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "\u2028\u2029",
    "a&amp;b",
    '"\\',
    "\ud800",
    "${x} $x",
    "💙",
]
PREPROCESSING = {
    "resize": 40, "crop": 32, "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "interpolation": "bicubic",
    "antialias": True,
}  # fmt: skip
CARD = {"title": "<b>$title</b>", "classes": HOSTILE, "preprocessing": PREPROCESSING, "unknown_limit": 0.5}


@pytest.fixture(autouse=True)
def small_files(monkeypatch, tmp_path):
    """Files of a few bytes in place of the real ones, and a workspace of our own."""
    known = {name: hashlib.sha256(content).hexdigest() for name, content in CONTENTS.items()}
    monkeypatch.setattr(runtime, "SHA256", known)
    monkeypatch.setenv("GRAFT_WORKSPACE", str(tmp_path / "workspace"))
    monkeypatch.delenv("GRAFT_ONNXRUNTIME_WEB", raising=False)


def package(path: Path, contents: dict[str, bytes]) -> Path:
    """A .tgz as npm packs it."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def packed(contents: dict[str, bytes]) -> dict[str, bytes]:
    return {f"package/dist/{name}": content for name, content in contents.items()}


@pytest.fixture
def page(tmp_path) -> str:
    return browser_page(b"onnx" * 1000, CARD, runtime.fetch(package(tmp_path / "a.tgz", packed(CONTENTS)))).decode()


def script(page: str, name: str) -> str:
    [found] = re.findall(rf'<script type="[^"]+" id="{name}">(.*?)</script>', page, re.DOTALL)
    return found


def test_the_page_holds_network_and_runtime_unchanged(page):
    held = {name: gzip.decompress(base64.b64decode(script(page, name))) for name in ("model", "runtime", "wasm")}
    assert held == {"model": b"onnx" * 1000, "runtime": CONTENTS[PROGRAM], "wasm": CONTENTS[WASM]}


def test_hostile_labels_stay_data(page):
    told = json.loads(script(page, "card"))
    assert told["classes"] == [label.replace("\ud800", "?") for label in HOSTILE]
    assert (told["preprocessing"], told["unknown_limit"]) == (PREPROCESSING, 0.5)
    assert "<title>&lt;b&gt;$title&lt;/b&gt;</title>" in page
    assert page.count("</script>") == page.count("<script") == 5
    assert "alert" not in page.replace(script(page, "card"), "")


@pytest.mark.parametrize("letter", ["<", ">", "&", "\u2028", "\u2029"])
def test_json_in_a_script_holds_no_letter_that_could_end_it(letter):
    text = json_in_script({letter: [letter]})
    assert letter not in text
    assert json.loads(text) == {letter: [letter]}


def test_the_policy_names_the_one_script_and_style_and_no_host(page):
    [policy] = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)
    [code] = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    [style] = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    assert hash_source(code) in policy
    assert hash_source(style) in policy
    assert policy.startswith("default-src 'none'; ")
    assert "connect-src" not in policy
    assert "http" not in policy
    assert not re.findall(r"""(?:src|href)=["'](?!data:)""", page)


def test_the_same_model_makes_the_same_page(page, tmp_path):
    assert browser_page(b"onnx" * 1000, CARD, runtime.folder()).decode() == page


def test_a_network_too_large_for_a_browser_is_refused(page, monkeypatch):
    monkeypatch.setattr(maker, "MAX_ONNX_BYTES", 1_000_000)
    with pytest.raises(RuntimeFilesError, match="2 MB, and browsers hold 1 MB"):
        browser_page(bytes(2_000_000), CARD, runtime.folder())


def test_the_page_uses_the_apps_own_colours():
    from pages.parts.palette import DARK, LIGHT

    for name, pair in maker.COLOURS.items():
        role = {"careful": "wrong"}.get(name, name)
        assert pair == f"{getattr(LIGHT, role)}, {getattr(DARK, role)}"


def test_a_package_that_somebody_brings_is_taken_into_the_workspace(tmp_path):
    assert runtime.find() is None
    place = runtime.fetch(package(tmp_path / "a.tgz", packed(CONTENTS)))
    assert place == tmp_path / "workspace" / "runtime" / f"onnxruntime-web-{runtime.VERSION}"
    assert {path.name: path.read_bytes() for path in place.iterdir()} == CONTENTS
    assert runtime.find() == place
    assert runtime.fetch() == place, "what is there isn't fetched again"


def test_a_folder_may_be_named_instead(tmp_path, monkeypatch):
    monkeypatch.setenv("GRAFT_ONNXRUNTIME_WEB", str(tmp_path / "own"))
    assert runtime.fetch(package(tmp_path / "a.tgz", packed(CONTENTS))) == tmp_path / "own"


def test_files_that_were_changed_on_the_disk_arent_used(tmp_path):
    place = runtime.fetch(package(tmp_path / "a.tgz", packed(CONTENTS)))
    (place / WASM).write_bytes(b"changed")
    assert runtime.find() is None


@pytest.mark.parametrize(
    "contents",
    [
        packed({**CONTENTS, WASM: b"another version"}),
        packed({PROGRAM: CONTENTS[PROGRAM]}),
        {f"package/dist/../{name}": content for name, content in CONTENTS.items()},
        {f"/package/dist/{name}": content for name, content in CONTENTS.items()},
    ],
    ids=["changed", "missing", "climbing", "absolute"],
)
def test_a_package_without_the_known_files_is_refused_and_leaves_nothing(tmp_path, contents):
    with pytest.raises(RuntimeFilesError) as error:
        runtime.fetch(package(tmp_path / "a.tgz", contents))
    assert error.value.key == "demopage.runtime.lacks"
    assert not runtime.folder().exists()


def test_a_link_in_a_package_isnt_followed(tmp_path):
    (tmp_path / "outside").write_bytes(CONTENTS[WASM])
    with tarfile.open(tmp_path / "a.tgz", "w:gz") as archive:
        for name in CONTENTS:
            member = tarfile.TarInfo(f"package/dist/{name}")
            member.type, member.linkname = tarfile.SYMTYPE, str(tmp_path / "outside")
            archive.addfile(member)
    with pytest.raises(RuntimeFilesError, match="isn't the one that Graft knows"):
        runtime.fetch(tmp_path / "a.tgz")


@pytest.mark.parametrize(
    "content", [b"", b"not an archive", gzip.compress(b"not a tar"), gzip.compress(b"x" * 5000)[:20]]
)
def test_what_is_no_package_is_refused_by_name(tmp_path, content):
    (tmp_path / "a.tgz").write_bytes(content)
    with pytest.raises(RuntimeFilesError, match=r"a\.tgz isn't a package file"):
        runtime.fetch(tmp_path / "a.tgz")
    with pytest.raises(RuntimeFilesError, match=r"none\.tgz"):
        runtime.fetch(tmp_path / "none.tgz")


def npm(folder: Path, body: str) -> None:
    """A program called npm that runs ``body``."""
    folder.mkdir()
    (folder / "npm").write_text(f"#!{sys.executable}\nimport shutil, sys\n{body}\n")
    (folder / "npm").chmod(0o755)


def test_npm_fetches_the_one_version_and_runs_no_script_of_it(tmp_path, monkeypatch):
    source = package(tmp_path / "source.tgz", packed(CONTENTS))
    asked = tmp_path / "asked"
    npm(
        tmp_path / "bin",
        f"open({str(asked)!r}, 'w').write(' '.join(sys.argv[1:])); shutil.copy({str(source)!r}, 'b.tgz')",
    )
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert runtime.find() is None
    assert runtime.fetch() == runtime.find()
    assert asked.read_text() == f"pack onnxruntime-web@{runtime.VERSION} --ignore-scripts --silent"


def test_without_npm_or_network_the_next_step_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with pytest.raises(RuntimeFilesError) as error:
        runtime.fetch()
    assert f"onnxruntime-web-{runtime.VERSION}.tgz" in error.value.hint
    npm(tmp_path / "bin", "sys.exit('npm error network unreachable')")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(RuntimeFilesError, match="npm error network unreachable"):
        runtime.fetch()
