"""What is wrong with a workflow of GitHub Actions beyond its schema: names that nobody defined.

`complaints(text)` lists it, one line each.  A workflow runs where no test reaches, and a name that
is wrong there is an empty string, not an error.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from typing import Any

import yaml

from benchmarks.__main__ import parser
from tests.conftest import ROOT

FOLDER = ROOT / ".github" / "workflows"

# What every runner sets; all else a script reads must be handed to it.
GIVEN = re.compile(r"GITHUB_\w+|RUNNER_\w+|HOME|PATH|CI")
TARGETS = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
    "optional-dependencies"
]


def load(text: str) -> dict[str, Any]:
    """The workflow with every scalar as text: YAML 1.1 reads the key `on` as true."""
    return yaml.load(text, Loader=yaml.BaseLoader)


def complaints(text: str) -> list[str]:
    """Everything that is wrong with a workflow."""
    workflow = load(text)
    found = list(about_the_whole(workflow, text))
    for name, job in workflow["jobs"].items():
        for rule in (about_needs, about_matrix, about_steps, about_uses, about_scripts):
            found += [f"{name}: {complaint}" for complaint in rule(job, workflow)]
        if "uses" not in job and "timeout-minutes" not in job:
            found.append(f"{name}: has no timeout-minutes, and may hang for six hours")
    return found


def about_the_whole(workflow: dict[str, Any], text: str) -> Iterator[str]:
    if "permissions" not in workflow:
        yield "has no permissions at its top: its token may be able to write"
    if "pull_request_target" in workflow["on"]:
        yield "pull_request_target runs with the rights of main on code of a fork"
    if re.search(r"\bsecrets\.", text):
        yield "uses a secret"
    inputs = {name for event in triggers(workflow).values() for name in event.get("inputs", {})}
    for name in references(workflow, r"(?<![\w.])inputs\.([\w-]+)"):
        if name not in inputs:
            yield f"there is no input {name}"


def triggers(workflow: dict[str, Any]) -> dict[str, Any]:
    """Event → its settings."""
    on = workflow["on"]
    if not isinstance(on, dict):
        on = {event: {} for event in ([on] if isinstance(on, str) else on)}
    return {event: value if isinstance(value, dict) else {} for event, value in on.items()}


def about_needs(job: dict[str, Any], workflow: dict[str, Any]) -> Iterator[str]:
    needed = job.get("needs", [])
    needed = [needed] if isinstance(needed, str) else needed
    jobs = workflow["jobs"]
    yield from (f"needs {name}, which is no job" for name in needed if name not in jobs)
    for name, output in references(job, r"\bneeds\.([\w-]+)(?:\.outputs\.([\w-]+))?"):
        if name not in needed:
            yield f"reads needs.{name} without needing it"
        elif output and output not in outputs(jobs.get(name, {})):
            yield f"reads needs.{name}.outputs.{output}, which {name} does not set"


def outputs(job: dict[str, Any]) -> dict[str, Any]:
    """The outputs of a job, or of the workflow that it calls."""
    if "uses" not in job:
        return job.get("outputs", {})
    called = ROOT / job["uses"]
    if not called.is_file():
        return {}
    return triggers(load(called.read_text(encoding="utf-8")))["workflow_call"].get("outputs", {})


def about_matrix(job: dict[str, Any], workflow: dict[str, Any]) -> Iterator[str]:
    matrix = job.get("strategy", {}).get("matrix", {})
    known = {key for entry in (matrix, *matrix.get("include", [])) for key in entry}
    for name in references(job, r"\bmatrix\.([\w-]+)"):
        if name not in known - {"include", "exclude"}:
            yield f"the matrix has no {name}"


def about_steps(job: dict[str, Any], workflow: dict[str, Any]) -> Iterator[str]:
    """A step reads only of steps before it, and of these only what they set."""
    before: dict[str, dict[str, Any]] = {}
    reads = r"\bsteps\.([\w-]+)(?:\.outputs\.([\w-]+))?"
    rest = {key: value for key, value in job.items() if key != "steps"}
    for part in [*job.get("steps", []), rest]:
        for name, output in references(part, reads):
            script = before.get(name, {}).get("run")
            if name not in before:
                yield f"there is no step {name} before it is read"
            elif script and output and not re.search(rf"\b{output}=.*GITHUB_OUTPUT", script):
                yield f"step {name} does not set {output}"
        if part is not rest and "id" in part:
            before[part["id"]] = part


def about_uses(job: dict[str, Any], workflow: dict[str, Any]) -> Iterator[str]:
    for part in (job, *job.get("steps", [])):
        used = part.get("uses")
        if used and used.startswith("./"):
            if not (ROOT / used).is_file():
                yield f"there is no {used}"
        elif used:
            action, _, version = used.partition("@")
            exact = re.fullmatch(r"[0-9a-f]{40}", version)
            if not exact and not (action.startswith("actions/") and re.match(r"v\d", version)):
                yield f"{used} is not pinned: a version for actions/, a commit for all others"


def about_scripts(job: dict[str, Any], workflow: dict[str, Any]) -> Iterator[str]:
    for step in job.get("steps", []):
        script = step.get("run", "")
        if "${{" in script:
            yield "an expression inside a script runs whatever it expands to: hand it over by env"
            continue
        handed = {key for part in (workflow, job, step) for key in part.get("env", {})}
        handed |= set(re.findall(r"(?<![\w$])(\w+)=", script))
        for name in re.findall(r"\$\{?([A-Z]\w*)", script):
            if name not in handed and not GIVEN.fullmatch(name):
                yield f"nothing sets ${name}"
        for path in re.findall(r"\btests/[\w/]+\.py\b", script):
            if not (ROOT / path).is_file():
                yield f"there is no {path}"
        for extras in re.findall(r"\.\[([\w,-]+)\]", script):
            yield from (f"there is no extra {x}" for x in extras.split(",") if x not in EXTRAS)
        if os.name == "posix":
            parsed = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True)
            if parsed.returncode:
                yield parsed.stderr.strip()
                continue
        for command in commands(script):
            yield from about_a_command(command)


def commands(script: str) -> Iterator[list[str]]:
    """The words of each simple command, as far as `make` and `python -m` need it."""
    # ${NAME:+word} is the word or nothing: with the word there is more to check.
    script = re.sub(r"\$\{\w+:\+([^}]*)\}", r"\1", script.replace("\\\n", " "))
    lexer = shlex.shlex(script.replace("\n", " ; "), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    command: list[str] = []
    for word in lexer:
        if set(word) <= set("();<>|&"):
            yield command
            command = []
        else:
            command.append(word)
    yield command


def about_a_command(words: list[str]) -> Iterator[str]:
    if words[:1] == ["make"]:
        named = [word for word in words[1:] if not word.startswith("-") and "=" not in word]
        yield from (f"make has no target {name}" for name in named if name not in TARGETS)
    if words[1:3] == ["-m", "benchmarks"]:
        said = io.StringIO()
        try:
            with contextlib.redirect_stderr(said):
                parser().parse_args(words[3:])
        except SystemExit:
            yield f"python -m benchmarks: {said.getvalue().strip().splitlines()[-1]}"


def references(part: Any, pattern: str) -> list[Any]:
    """What the pattern finds in every expression of a part of a workflow."""
    return [found for text in expressions(part) for found in re.findall(pattern, text)]


def expressions(part: Any, key: str = "") -> Iterator[str]:
    """The texts between ${{ and }}, and the conditions, which are expressions without these."""
    if isinstance(part, dict):
        for name, value in part.items():
            yield from expressions(value, name)
    elif isinstance(part, list):
        for value in part:
            yield from expressions(value)
    elif key == "if":
        yield part
    else:
        yield from re.findall(r"\$\{\{(.*?)\}\}", part)
