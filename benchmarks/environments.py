"""A commit, or a folder, installed into an environment of its own.

    commit → source tree → virtual environment with the package and its dependencies

Environments are kept under `build/compare`, found again by what they were made of, and the oldest
are removed.  One that was not finished is made again.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.process import Installation
from benchmarks.report import cpu_name, write_json

ROOT = Path(__file__).parent.parent
KEPT = 6  # environments that stay for the next time, half a gigabyte each
NEEDED = 1.5e9  # bytes free before one is built
TEMPORARY = "temporary-"  # how the names of folders begin that end with a comparison
LIMIT = 900.0  # seconds a build may take
# glibc decides from what was freed before whether a result lies on pages that stay or that the
# kernel has to hand out and clear anew, call by call: 10 % of a stack of eigenproblems.
STEADY_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(2**25), "MALLOC_TRIM_THRESHOLD_": str(2**30)}
INSTALL = ["-m", "pip", "install", "--no-input", "--disable-pip-version-check"]


class CannotCompare(Exception):
    """Nothing can be said of this side; the message is the line to print."""


@dataclass(frozen=True)
class Source:
    """One side as it was named, and the commit or the folder that is."""

    side: str
    given: str
    commit: str | None
    folder: Path | None
    key: str

    def __str__(self) -> str:
        """`BASE main (1a2b3c4d5e)`."""
        what = self.commit[:10] if self.commit else "folder"
        return f"{self.side} {self.given} ({what})"


@dataclass(frozen=True)
class Environment:
    """A built side."""

    source: Source
    folder: Path

    @property
    def python(self) -> str:
        """Its interpreter."""
        scripts = ("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")
        return str(self.folder.joinpath("env", *scripts))

    @property
    def tree(self) -> Path:
        """The files it was built from."""
        return self.folder / "source"

    @property
    def cache(self) -> Path:
        """Where its kernels are kept."""
        return self.folder / "cache"

    @property
    def packages(self) -> list[str]:
        """What is installed beside mmlfast, as pip freezes it."""
        return list(json.loads((self.folder / "built.json").read_text())["packages"])

    def installation(self, root: Path, cache: Path | None = None) -> Installation:
        """How to start a worker in it whose cases come from `root`."""
        variables = {
            "MMLFAST_CACHE_DIR": str(cache or self.cache),
            "MMLFAST_BENCH_DIR": os.environ.get(
                "MMLFAST_BENCH_DIR", str(ROOT / "build" / "benchmarks")
            ),
            "PYTHONHASHSEED": "0",
            "PYTHONPATH": str(root),
            **STEADY_MEMORY,
        }
        return Installation(self.python, root, variables)


def git(*arguments: str, repository: Path = ROOT) -> bytes:
    """Standard output of git; CannotCompare where it fails."""
    try:
        done = subprocess.run(["git", "-C", str(repository), *arguments], capture_output=True)
    except FileNotFoundError:
        raise CannotCompare("git is not installed; give folders instead of commits") from None
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip().splitlines()
        raise CannotCompare(words[-1] if words else f"git {arguments[0]} failed")
    return done.stdout


def resolve(side: str, given: str, repository: Path = ROOT) -> Source:
    """The commit or the folder that `given` names."""
    if given and (Path(given) / "pyproject.toml").is_file():
        folder = Path(given).resolve()
        return Source(side, given, None, folder, _key(_content(folder)))
    try:
        wanted = f"{given}^{{commit}}"
        commit = git("rev-parse", "--verify", "--end-of-options", wanted, repository=repository)
    except CannotCompare as error:
        raise CannotCompare(
            f"{side}: {given!r} is neither a commit of {repository} nor a folder with a "
            f"pyproject.toml ({error}); in a shallow clone: git fetch --unshallow"
        ) from None
    name = commit.decode().strip()
    return Source(side, given, name, None, _key(name))


def _key(content: str) -> str:
    """What an environment depends on beside its packages: source, interpreter, processor."""
    parts = (content, sys.version, platform.machine(), cpu_name())
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]


def files_of(folder: Path) -> list[Path]:
    """What belongs to a tree: what git knows or would add, else all but hidden and built files."""
    try:
        listed = git("ls-files", "-coz", "--exclude-standard", ".", repository=folder)
    except CannotCompare:
        listed = b""
    found = [folder / name for name in listed.decode().split("\0") if name]
    if not found:  # no repository, or one that ignores the folder
        ignored = {"build", "dist", "__pycache__"}
        found = [
            path
            for path in folder.rglob("*")
            if not any(p.startswith(".") or p in ignored for p in path.relative_to(folder).parts)
        ]
    return sorted(path for path in found if path.is_file())


def _content(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in files_of(folder):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def build(source: Source, store: Path, *, again: str = "", versions: str = "") -> Environment:
    """Install `source`; one that stands already is used as it is.

    Parameters
    ----------
    again : str
        A suffix: the same source compared with itself is built twice.
    versions : str
        Constraints for pip, given to build anew with the packages of the other side.
    """
    folder = store / f"{source.key}{again}"
    environment = Environment(source, folder)
    if (folder / "built.json").exists() and not versions:
        os.utime(folder)
        return environment
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        free = shutil.disk_usage(folder).free
        if free < NEEDED:
            raise CannotCompare(
                f"{source}: an environment needs {NEEDED / 1e9:g} GB, "
                f"{store} has {free / 1e9:.1f} GB free"
            )
        write_tree(source, environment.tree)
        (folder / "versions.txt").write_text(versions)
        with open(folder / "build.log", "w") as log:
            _run(source, log, [sys.executable, "-m", "venv", str(folder / "env")])
            constraints = ["--constraint", str(folder / "versions.txt")]
            _run(source, log, [environment.python, *INSTALL, *constraints, str(environment.tree)])
        write_json(folder / "built.json", {"packages": _packages(environment)})
    except (OSError, subprocess.CalledProcessError) as error:
        raise CannotCompare(f"{source}: cannot be built: {error}") from error
    return environment


def write_tree(source: Source, tree: Path) -> None:
    """The files of `source`, below the new folder `tree`."""
    if source.commit is not None:
        with tarfile.open(fileobj=io.BytesIO(git("archive", source.commit))) as archive:
            archive.extractall(tree, filter="data")
        return
    assert source.folder is not None
    for path in files_of(source.folder):
        target = tree / path.relative_to(source.folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def _run(source: Source, log: io.TextIOWrapper, command: list[str]) -> None:
    """Run one step of a build; its last words become the line to print."""
    try:
        done = subprocess.run(
            command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, timeout=LIMIT
        )
        failure = f"exit status {done.returncode}" if done.returncode else ""
    except subprocess.TimeoutExpired:
        failure = f"not finished after {LIMIT:g} s"
    if failure:
        log.flush()
        raise CannotCompare(
            f"{source} does not build: {failure}: {_reason(Path(log.name))} (the log: {log.name})"
        )


def _packages(environment: Environment) -> list[str]:
    freeze = [environment.python, "-m", "pip", "freeze", "--exclude", "mmlfast"]
    done = subprocess.run(freeze, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def _reason(log: Path) -> str:
    """The line of a log that says most: of the last exception, else of pip, else the last."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    raised = [line for line in lines if re.match(r"[\w.]*(Error|Exception): .", line)]
    said = [line for line in lines if line.startswith("ERROR: ")]
    return (raised or said or lines or ["no output"])[-1][:300]


def remove_left_over(store: Path) -> None:
    """Remove what a comparison that was killed could not; no other may be running."""
    for path in [*store.glob(f"{TEMPORARY}*"), *store.glob(f"*/{TEMPORARY}*")]:
        shutil.rmtree(path, ignore_errors=True)


def remove_old(store: Path, used: set[Path]) -> None:
    """Keep the environments used last."""
    others = [path for path in store.iterdir() if path.is_dir() and path not in used]
    others.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    for path in others[max(0, KEPT - len(used)) :]:
        shutil.rmtree(path, ignore_errors=True)


def copy_cases(target: Path) -> Path:
    """The measuring stick of both sides: `benchmarks` and the references of the tests, alone.

    The tree that holds them holds an mmlfast too, which would hide the installed one.
    """
    for folder in ("benchmarks", "tests"):
        (target / folder).mkdir(parents=True)
        for path in (ROOT / folder).glob("*.py"):
            shutil.copyfile(path, target / folder / path.name)
    return target


def case_names(environment: Environment) -> dict[str, bool] | None:
    """The cases that the tree of one side registers, and which are quick; None without any."""
    code = (
        "import json, benchmarks.cases as c; "
        "print(json.dumps({n: getattr(case, 'quick', False) for n, case in c.CASES.items()}))"
    )
    done = subprocess.run(
        [environment.python, "-c", code],
        cwd=environment.tree,
        env=environment.installation(environment.tree).environment(),
        capture_output=True,
        text=True,
    )
    return dict(json.loads(done.stdout.splitlines()[-1])) if done.returncode == 0 else None
