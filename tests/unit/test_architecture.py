"""The arrows of docs/architecture.md: who may import whom, and what must stay light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent.parent
# A room may import itself, what is left of it here, and nothing else of core.
COMMON = {"words", "errors", "config", "events", "workspace", "machine", "processes", "background"}
MAY_IMPORT = {
    "data": COMMON,
    "models": COMMON | {"data"},
    "recipes": {"words", "config"},
    "runs": COMMON | {"data"},
    "doctor": COMMON | {"data", "models", "training"},
    "training": COMMON | {"data", "models", "runs", "inference"},
    "inference": COMMON | {"data", "models", "runs", "training"},
    "export": COMMON | {"data", "models", "runs", "training", "inference"},
    "serve": COMMON | {"data", "models", "runs", "inference", "export"},
}
# The processes of runs that train: the only files there that may import training.
PROCESSES = {"core/runs/worker.py", "core/runs/standby.py"}
HEAVY = {"torch", "torchvision", "timm", "streamlit"}


def imports(file: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_what_its_arrows_allow(room):
    folder = PROJECT / "core" / room
    files = folder.glob("**/*.py") if folder.is_dir() else [folder.with_suffix(".py")]
    broken = []
    for file in files:
        allowed = MAY_IMPORT[room] | {room}
        if file.relative_to(PROJECT).as_posix() in PROCESSES:
            allowed = allowed | {"training"}
        for name in imports(file):
            parts = name.split(".")
            if parts[0] == "core" and len(parts) > 1 and parts[1] not in allowed and parts[1:] != ["__version__"]:
                broken.append(f"{file.relative_to(PROJECT)} imports {name}")
    assert broken == []


def test_core_never_imports_streamlit():
    found = [
        str(file)
        for file in (PROJECT / "core").glob("**/*.py")
        if any(n.startswith("streamlit") for n in imports(file))
    ]
    assert found == []


def test_no_page_imports_torch_when_it_is_loaded():
    def at_top(file: Path) -> set[str]:
        tree = ast.parse(file.read_text("utf-8"))
        return {
            (node.module or "") if isinstance(node, ast.ImportFrom) else node.names[0].name
            for node in tree.body
            if isinstance(node, ast.Import | ast.ImportFrom)
        }

    files = [PROJECT / "app.py", *(PROJECT / "pages").glob("**/*.py")]
    found = [
        str(file) for file in files if {name.split(".")[0] for name in at_top(file)} & {"torch", "torchvision", "timm"}
    ]
    assert found == []


@pytest.mark.parametrize(
    "module",
    [
        "core", "core.runs", "core.data.scan", "core.data.split", "core.data.datasets", "core.models.registry",
        "core.models.weights", "core.models.speed", "core.recipes", "core.inference.metrics",
        "core.inference.compare", "core.inference.epochs", "core.runs.notes", "core.runs.deleting",
        "core.inference.heat", "core.inference.later_worker", "core.serve.runtime", "core.serve.browser_page",
        "core.serve.bundle_worker",
    ],
)  # fmt: skip
def test_a_light_module_stays_light(module):
    code = f"import sys, {module}; print([name for name in {sorted(HEAVY)!r} if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_nothing_unpickles_or_trusts_markup():
    forbidden = ("pickle.load", "weights_only=False", "unsafe_allow_html=True", "unsafe_allow_javascript=True")
    files = [PROJECT / "app.py", *(PROJECT / "core").glob("**/*.py"), *(PROJECT / "pages").glob("**/*.py")]
    found = [f"{file}: {text}" for file in files for text in forbidden if text in file.read_text("utf-8")]
    assert found == []


def test_files_and_functions_stay_small_enough_to_read_in_one_go():
    long = []
    for file in [*(PROJECT / "core").glob("**/*.py"), *(PROJECT / "pages").glob("**/*.py"), PROJECT / "app.py"]:
        text = file.read_text("utf-8")
        page = file.parent.name == "pages"
        if text.count("\n") > (120 if page else 320):
            long.append(f"{file.relative_to(PROJECT)}: {text.count(chr(10))} lines")
        functions = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
        long += [f"{file}: {node.name}" for node in functions if (node.end_lineno or 0) - node.lineno > 55]
    assert long == []
