"""Build back end of the package: maturin's, after compiling the guardian program that a wheel carries.

maturin packs one library. The guardian is a program of its own (it must outlive the recorder and may not be a Python),
so it is compiled first and put where ``[tool.maturin] include`` picks it up. Run as a script, it does only that.
"""

from __future__ import annotations

import filecmp
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import maturin

ROOT = Path(__file__).resolve().parent.parent
GUARDIAN = ROOT / "src/wallsocket/trace/guardian"


def build_guardian() -> None:
    """Compile ``wallsocket-guardian`` and put it into the package.

    It is linked statically: so it starts on any distribution, however old its C library, and also in a traced program's
    root or mount namespace that has no library at all. glibc allows this for a program that looks up no names.
    """
    cargo = os.environ.get("CARGO", "cargo")
    version = subprocess.run(["rustc", "-vV"], check=True, capture_output=True, text=True).stdout
    target = next(line.split()[1] for line in version.splitlines() if line.startswith("host:"))
    # With --target given, the flag does not reach build scripts and procedural macros, which cannot be static.
    flags = f"{os.environ.get('RUSTFLAGS', '')} -C target-feature=+crt-static".strip()
    subprocess.run(
        [cargo, "build", "--quiet", "--release", "--locked", "--target", target, "--bin", "wallsocket-guardian"],
        cwd=ROOT,
        env={**os.environ, "RUSTFLAGS": flags},
        check=True,
    )
    folder = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    built = folder / target / "release/wallsocket-guardian"
    if GUARDIAN.exists() and filecmp.cmp(built, GUARDIAN, shallow=False):
        return
    # A new file, not new bytes in the old one: a trace may be running from it.
    GUARDIAN.unlink(missing_ok=True)
    shutil.copy2(built, GUARDIAN)


def build_wheel(directory: str, config: dict[str, Any] | None = None, metadata: str | None = None) -> str:
    """As maturin does, with the guardian."""
    build_guardian()
    return maturin.build_wheel(directory, config, metadata)


def build_editable(directory: str, config: dict[str, Any] | None = None, metadata: str | None = None) -> str:
    """As maturin does, with the guardian."""
    build_guardian()
    return maturin.build_editable(directory, config, metadata)


build_sdist = maturin.build_sdist
get_requires_for_build_wheel = maturin.get_requires_for_build_wheel
get_requires_for_build_editable = maturin.get_requires_for_build_editable
get_requires_for_build_sdist = maturin.get_requires_for_build_sdist
prepare_metadata_for_build_wheel = maturin.prepare_metadata_for_build_wheel
prepare_metadata_for_build_editable = maturin.prepare_metadata_for_build_editable

if __name__ == "__main__":
    try:
        build_guardian()
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)
