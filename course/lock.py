"""Write `requirements.lock`: what pip resolves today, exactly, for every extra.

    python -m course.lock        (or: make lock)

The lock is a constraints file: `pip install -c requirements.lock -e .` installs what
an extra needs and no more, at these versions. Local labels such as `+cpu` are left
out, so that each machine may take the build of torch that suits it.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from course.paths import root

HEADER = "# Written by `make lock`; a constraints file, see course/lock.py.\n"

# What a GPU build of torch adds on one platform only: no lock for all can name it.
PLATFORM_ONLY = ("nvidia-", "cuda-", "triton")


def resolved() -> list[str]:
    """'name==version' of every package, as pip would install them afresh."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        options = ["--dry-run", "--ignore-installed", "--quiet", f"--report={report}"]
        command = [sys.executable, "-m", "pip", "install", *options, ".[oracle]"]
        subprocess.run(command, cwd=root(), check=True)
        packages = json.loads(report.read_text(encoding="utf-8"))["install"]
    own = "runnable-deep-learning"
    pins = {
        package["metadata"]["name"].lower(): package["metadata"]["version"]
        for package in packages
    }
    return sorted(
        f"{name}=={version.partition('+')[0]}"
        for name, version in pins.items()
        if name != own and not name.startswith(PLATFORM_ONLY)
    )


if __name__ == "__main__":
    (root() / "requirements.lock").write_text(HEADER + "\n".join(resolved()) + "\n")
