"""What is shipped: our packages, the demo model, the types, and nothing else."""

import subprocess
import sys
import zipfile
from pathlib import Path

import bodhi_asgi

ROOT = Path(bodhi_asgi.__file__).parent.parent
HOSTS = {"bodhi_starlette", "bodhi_fastapi", "bodhi_django", "bodhi_litestar", "bodhi_quart"}
PACKAGES = {"bodhi_asgi", *HOSTS}


def test_the_wheel_holds_every_package_and_no_surprise(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()

    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == PACKAGES
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(names)
    assert "bodhi_asgi/demo_model/demo.gguf" in names
    assert {f"bodhi_asgi/http/assets/docs.{kind}" for kind in ("html", "js", "css")} <= set(names)
    suffixes = {Path(name).suffix for name in names if ".dist-info/" not in name}
    assert suffixes <= {".py", ".typed", ".gguf", ".html", ".js", ".css"}
    assert not [name for name in names if name.endswith(".pth")]
    sources = {
        str(path.relative_to(parent))
        for parent in (ROOT, ROOT / "integrations")
        for package in PACKAGES
        for path in (parent / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in names if ".dist-info/" not in name} == sources
