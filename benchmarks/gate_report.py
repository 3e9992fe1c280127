"""What the gate found, as a table for the terminal, as Markdown for a pull request, as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure
from benchmarks.gate import NOT_COMPARED, REGRESSIONS, Result
from benchmarks.report import aligned, machine, seconds, write_json

COLUMNS = ("case", "BASE", "HEAD", "ratio", "interval", "pairs", "verdict")
OF_MACHINE = {"cpu", "cores", "system", "python"}
WORDS = {
    "broken": "BROKEN",
    "slower": "SLOWER",
    "worse": "WORSE",
    "failed": "NOT COMPARED",
    "missing": "NOT COMPARED",
    "faster": "faster",
    "same": "same",
    "unclear": "not proven slower",
    "mended": "mended",
    "new": "new",
}


@dataclass
class Findings:
    """Everything one comparison gave.

    Attributes
    ----------
    sides : names of base and head
    results : of the cases
    others : figures of whole commits: compile seconds by case, assembly by kernel
    notes : lines that explain
    failure : why nothing could be compared, "" where it could
    accepted : names of cases and kernels whose regressions are wanted
    packages : what is installed beside the head, as pip freezes it
    """

    sides: tuple[str, str]
    ratio: float = 1.10
    results: list[Result] = field(default_factory=list)
    others: list[tuple[str, Figure]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    failure: str = ""
    accepted: Sequence[str] = ()
    packages: Sequence[str] = ()

    @property
    def regressions(self) -> list[str]:
        """A line for each regression that nobody accepted."""
        lines = [
            f"{r.name}: {explain(r)}"
            for r in self.results
            if (r.state in REGRESSIONS or r.worse) and r.name not in self.accepted
        ]
        return lines + [
            f"{name}: {figure}"
            for name, figure in self.others
            if figure.worse and name not in self.accepted
        ]

    @property
    def not_compared(self) -> list[str]:
        """A line for each case about which nothing can be said."""
        lines = [f"{r.name}: {r.note}" for r in self.results if r.state in NOT_COMPARED]
        return ([self.failure] if self.failure else []) + lines

    @property
    def exit_code(self) -> int:
        """1: something regressed; 2: otherwise something could not be compared; 0: fine."""
        return 1 if self.regressions else 2 if self.not_compared else 0

    @property
    def headline(self) -> str:
        """The whole in one line."""
        parts = [
            f"{count} {what}"
            for count, what in [
                (len(self.regressions), "regressed"),
                (len(self.not_compared), "not compared"),
                (sum(r.state == "faster" for r in self.results), "faster"),
                (sum(r.state == "unclear" for r in self.results), "not proven slower"),
                (sum(r.state == "same" for r in self.results), "the same"),
            ]
            if count
        ]
        return f"{self.sides[0]} → {self.sides[1]}: {', '.join(parts) or 'nothing to compare'}"


def explain(result: Result) -> str:
    """Why a case stands as it does, in a few words."""
    parts = []
    if result.state == "slower" and result.comparison:
        c = result.comparison
        parts.append(
            f"takes {c.ratio:.2f}× as long (at least {c.low:.2f}×, {c.rules.ratio:g}× is allowed)"
        )
    parts += map(str, result.worse)
    return "; ".join(filter(None, [*parts, result.note]))


def row(result: Result) -> tuple[str, ...]:
    """One case in the columns of the table."""
    c = result.comparison
    word = WORDS[result.state]
    if result.worse and result.state != "worse":
        word += ", WORSE"
    if c is None:
        return (result.name, "", "", "", "", "", word)
    return (
        result.name,
        seconds(c.baseline_seconds),
        seconds(c.candidate_seconds),
        f"{c.ratio:.3f}",
        f"{c.low:.3f} – {c.high:.3f}",
        f"{c.n_pairs}",
        word,
    )


def table(results: Sequence[Result]) -> str:
    """The cases under their columns."""
    return aligned([COLUMNS, *map(row, results)], left={0, len(COLUMNS) - 1})


def lines(findings: Findings) -> list[str]:
    """What has to be said beside the table, the worst first."""
    said = [f"REGRESSION   {line}" for line in findings.regressions]
    said += [f"NOT COMPARED {line}" for line in findings.not_compared]
    said += [
        f"{r.state}: {r.name}: {r.note}" for r in findings.results if r.state in ("new", "mended")
    ]
    return said + findings.notes + beside_the_clock(findings)


def beside_the_clock(findings: Findings) -> list[str]:
    """How many figures of each kind were compared; the worse ones are named elsewhere."""
    figures = [figure for r in findings.results for figure in r.figures]
    figures += [figure for _, figure in findings.others]
    counted = Counter(figure.name for figure in figures)
    worse = sum(figure.worse for figure in figures)
    kinds = ", ".join(f"{name} {count}" for name, count in counted.items())
    return [f"Compared beside the clock: {kinds}; {worse} worse."] if counted else []


def plain(findings: Findings) -> str:
    """For the terminal."""
    parts = [table(findings.results)] if findings.results else []
    return "\n".join([*parts, *lines(findings), findings.headline, spell_machine(findings)])


def markdown(findings: Findings) -> str:
    """For a pull request: the verdict first, the table folded."""
    verdict = {0: "no regression", 1: "regression", 2: "could not compare"}[findings.exit_code]
    parts = [f"## Performance: {verdict}", findings.headline]
    parts += ["\n".join(f"- {line}" for line in lines(findings))]
    if findings.results:
        parts += [
            f"<details><summary>{len(findings.results)} cases</summary>",
            table(findings.results),
            "</details>",
        ]
    parts.append(
        f"A case is slower where the whole interval of its ratio lies above {findings.ratio:g}. "
        + spell_machine(findings)
    )
    return "\n\n".join(filter(None, parts)) + "\n"


def conditions(findings: Findings) -> dict[str, Any]:
    """What the figures depend on: the machine, and the versions that were measured with."""
    here = machine()
    if not findings.packages:
        return here
    there = dict(line.split("==", 1) for line in findings.packages if "==" in line)
    return {name: value if name in OF_MACHINE else there.get(name) for name, value in here.items()}


def spell_machine(findings: Findings) -> str:
    """The same in one line."""
    return ", ".join(
        f"{key} {value}" for key, value in conditions(findings).items() if value is not None
    )


def save_json(path: Path, findings: Findings) -> None:
    """Everything, for machines."""
    content: dict[str, Any] = {
        "base": findings.sides[0],
        "head": findings.sides[1],
        "exit_code": findings.exit_code,
        "regressions": findings.regressions,
        "not_compared": findings.not_compared,
        "notes": findings.notes,
        "machine": conditions(findings),
        "packages": list(findings.packages),
        "cases": {r.name: as_json(r) for r in findings.results},
        "others": [{"of": name, **figure._asdict()} for name, figure in findings.others],
    }
    write_json(path, content)


def as_json(result: Result) -> dict[str, Any]:
    """One case."""
    comparison = None
    if result.comparison is not None:
        comparison = asdict(result.comparison)
    return {
        "state": result.state,
        "note": result.note,
        "comparison": comparison,
        "figures": [figure._asdict() for figure in result.figures],
    }
