"""Build back end of the package: maturin's, after compiling the helper programs that a wheel carries.

maturin packs one library. The guardian of a trace and the holder of a lab are programs of their own (one must outlive
the recorder, the other must have one thread, and neither may be a Python), so they are compiled first and put where
``[tool.maturin] include`` picks them up. Run as a script, it does only that.
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
#: Program: its crate, and where the package has it.
PROGRAMS = {
    "wallsocket-guardian": ("wallsocket-trace", ROOT / "src/wallsocket/trace/guardian"),
    "wallsocket-holder": ("wallsocket-link", ROOT / "src/wallsocket/lab/holder"),
}


#: The library that a traced program is given (LD_PRELOAD): its crate, its file as Cargo names it, and where the package has it.
LIBRARY = ("wallsocket-preload", "libwallsocket_preload.so", ROOT / "src/wallsocket/trace/preload.so")


def build_programs() -> None:
    """Compile the helper programs and the preloaded library, and put them into the package.

    They are linked statically: so they start on any distribution, however old its C library, and also in a root or
    mount namespace that has no library at all. glibc allows this for a program that looks up no names.
    """
    version = subprocess.run(["rustc", "-vV"], check=True, capture_output=True, text=True).stdout
    target = next(line.split()[1] for line in version.splitlines() if line.startswith("host:"))
    # With --target given, the flag does not reach build scripts and procedural macros, which cannot be static.
    flags = os.environ.get("RUSTFLAGS", "")
    # Named crates: with the whole workspace, cargo would turn on what only the extension module needs.
    packages = [word for name, (crate, _) in PROGRAMS.items() for word in ("--package", crate, "--bin", name)]
    _cargo(target, f"{flags} -C target-feature=+crt-static", "release", packages)
    folder = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / target
    for program, (_, place) in PROGRAMS.items():
        _put(folder / "release" / program, place)
    # A profile that does not unwind, so that it needs nothing of the C library; exceptions of its callers pass through it
    # all the same.
    crate, file, place = LIBRARY
    _cargo(target, f"{flags} -C force-unwind-tables=yes", "preload", ["--package", crate])
    _put(folder / "preload" / file, place)


def _cargo(target: str, flags: str, profile: str, packages: list[str]) -> None:
    # With --target given, the flags do not reach build scripts and procedural macros, which cannot be static.
    cargo = os.environ.get("CARGO", "cargo")
    command = [cargo, "build", "--quiet", "--profile", profile, "--locked", "--target", target, *packages]
    subprocess.run(command, cwd=ROOT, env={**os.environ, "RUSTFLAGS": flags.strip()}, check=True)


def _put(built: Path, place: Path) -> None:
    if place.exists() and filecmp.cmp(built, place, shallow=False):
        return
    # A new file, not new bytes in the old one: it may be running.
    place.unlink(missing_ok=True)
    shutil.copy2(built, place)


def build_wheel(directory: str, config: dict[str, Any] | None = None, metadata: str | None = None) -> str:
    """As maturin does, with the helper programs."""
    build_programs()
    return maturin.build_wheel(directory, config, metadata)


def build_editable(directory: str, config: dict[str, Any] | None = None, metadata: str | None = None) -> str:
    """As maturin does, with the helper programs."""
    build_programs()
    return maturin.build_editable(directory, config, metadata)


build_sdist = maturin.build_sdist
get_requires_for_build_wheel = maturin.get_requires_for_build_wheel
get_requires_for_build_editable = maturin.get_requires_for_build_editable
get_requires_for_build_sdist = maturin.get_requires_for_build_sdist
prepare_metadata_for_build_wheel = maturin.prepare_metadata_for_build_wheel
prepare_metadata_for_build_editable = maturin.prepare_metadata_for_build_editable

if __name__ == "__main__":
    try:
        build_programs()
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)
