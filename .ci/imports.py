"""Every package the app imports is named in requirements.txt: dev dependencies would hide a missing one."""

import ast
import re
import sys
from pathlib import Path

PROJECT = Path(__file__).parent.parent
OURS = {"core", "pages", "app", "predict"}  # a bundle's verify.py imports the predict.py beside it
# Import names that differ from the package's name; starlette, uvicorn and anyio are the server that streamlit runs on,
# scipy and threadpoolctl what scikit-learn computes with, pydantic what fastapi describes answers with.
PACKAGES = {"PIL": "pillow", "starlette": "streamlit", "uvicorn": "streamlit", "anyio": "streamlit"}
PACKAGES |= {"sklearn": "scikit-learn", "scipy": "scikit-learn", "threadpoolctl": "scikit-learn", "pydantic": "fastapi"}


def imported() -> set[str]:
    names: set[str] = set()
    for file in [PROJECT / "app.py", *PROJECT.glob("core/**/*.py"), *PROJECT.glob("pages/**/*.py")]:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.split(".")[0])
    return names - OURS - set(sys.stdlib_module_names)


def named() -> set[str]:
    lines = (PROJECT / "requirements.txt").read_text("utf-8").splitlines()
    return {re.split(r"[<>=!~\[ ]", line)[0].lower() for line in lines if line and not line.startswith(("#", "-"))}


missing = sorted(name for name in imported() if PACKAGES.get(name, name).lower() not in named())
if missing:
    sys.exit(f"imported, but not in requirements.txt: {', '.join(missing)}")
print("every import is named in requirements.txt")
