"""Mutants: do the tests notice when the code is wrong? A seeded sample of small changes, each held to its tests.

    python -m tests.mutants            # 80 mutants of twelve modules; exit code 1 if less than 92 % of them are killed
    python -m tests.mutants --of search/selection.py --n 30 --seed 1

Comparisons, arithmetic, numbers and negations are changed one at a time (cosmic-ray does it), in a copy of the working
tree. A mutant is killed if a test fails or takes far too long. What no test can notice is listed with the reason in
`data/equivalent-mutants.tsv`; it is neither killed nor counted.
"""

from __future__ import annotations

import argparse
import csv
import difflib
import os
import queue
import random
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from cosmic_ray.ast import get_ast, is_none
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator
from parso.tree import BaseNode, NodeOrLeaf

ROOT = Path(__file__).parent.parent
EQUIVALENT = Path(__file__).parent / "data" / "equivalent-mutants.tsv"
N_MUTANTS, BAR, N_AT_ONCE = 80, 0.92, 2
PATIENCE, LEAST_PATIENCE_S = 10, 60.0  # times as long as without a mutant, and at least so long

# Module of mess_core -> the tests that hold it, beside its examples and the law of the house that facts are frozen.
FROZEN = "tests/test_architecture.py::test_facts_are_frozen"
TESTS = {
    "workspace/uploads.py": ["tests/workspace/test_uploads.py"],
    "storage/jobs.py": ["tests/storage/test_jobs.py"],
    "evaluation/retrieval.py": ["tests/evaluation/test_retrieval.py"],
    "audio/wav_header.py": ["tests/audio/test_wav_header.py"],
    "search/selection.py": ["tests/search/test_selection.py"],
    "probing/folds.py": ["tests/probing/test_folds.py"],
    "audio/loudness.py": ["tests/audio/test_loudness.py"],
    "probing/resampling.py": ["tests/probing/test_resampling.py"],
    "targets/rhythm.py": ["tests/targets/test_audio.py", "-k", "onset or tempo or npvi or frozen or rhythm"],
    "search/matching.py": ["tests/search/test_matching.py"],
    "search/percentiles.py": ["tests/search/test_percentiles.py"],
    "storage/untrusted.py": ["tests/storage/test_untrusted.py"],
}

_PAIRS = "ReplaceComparisonOperator_{}_{}".format
KINDS = {
    "comparison": [
        *(_PAIRS(*pair) for pair in (("Eq", "NotEq"), ("NotEq", "Eq"), ("Is", "IsNot"), ("IsNot", "Is"))),
        *(_PAIRS(*pair) for pair in (("Lt", "LtE"), ("Lt", "GtE"), ("LtE", "Lt"), ("LtE", "Gt"))),
        *(_PAIRS(*pair) for pair in (("Gt", "GtE"), ("Gt", "LtE"), ("GtE", "Gt"), ("GtE", "Lt"))),
    ],
    "arithmetic": [
        f"ReplaceBinaryOperator_{pair}"
        for pair in ("Add_Sub", "Sub_Add", "Mul_Div", "Div_Mul", "FloorDiv_Mul", "Mod_FloorDiv", "Pow_Mul")
    ],
    "constant": ["NumberReplacer", "ReplaceTrueWithFalse", "ReplaceFalseWithTrue"],
    "negation": [
        *("AddNot", "ReplaceUnaryOperator_Delete_Not", "ReplaceUnaryOperator_Delete_USub"),
        *("ReplaceAndWithOr", "ReplaceOrWithAnd"),
    ],
}


@dataclass(frozen=True)
class Mutant:
    """One change: the module, the line where it is, what stood there, and what does now."""

    module: str
    kind: str
    line: int
    code: str
    before: str
    after: str

    @property
    def place(self) -> str:
        return f"{self.module}:{self.line}  {self.kind}\n            {self.before}  ->  {self.after}"

    @property
    def key(self) -> tuple[str, str, str]:
        return self.module, self.before, self.after


def _nodes(node: NodeOrLeaf) -> list[NodeOrLeaf]:
    """In the order in which cosmic-ray counts."""
    if is_none(node):
        return []
    below = node.children if isinstance(node, BaseNode) else []
    return [node, *(found for child in below for found in _nodes(child))]


def places(source: str, kind: str) -> list[tuple[int, str, int]]:
    """Every change of a kind that code can suffer: line, operator, and which of the operator's it is."""
    nodes, found = _nodes(get_ast(source)), []
    for name in KINDS[kind]:
        operator = get_operator(f"core/{name}")()
        number = 0
        for node in nodes:
            for (line, _), _ in operator.mutation_positions(node):
                if node.parent is None or node.parent.type != "parameters":  # there a star multiplies nothing
                    found.append((line, name, number))
                number += 1
    return found


def mutant(module: str, kind: str, line: int, name: str, number: int) -> Mutant:
    source = _source(module)
    code = mutate_code(source, get_operator(f"core/{name}")(), number)
    old, new = source.splitlines(), code.splitlines()
    ((_, *change),) = (
        each for each in difflib.SequenceMatcher(None, old, new, False).get_opcodes() if each[0] != "equal"
    )
    before, after = old[change[0] : change[1]], new[change[2] : change[3]]
    return Mutant(module, kind, line, code, *(" ".join(" ".join(lines).split()) for lines in (before, after)))


def _source(module: str) -> str:
    return (ROOT / "mess_core" / module).read_text("utf-8")


def sample(modules: list[str], n: int, seed: int) -> list[Mutant]:
    """As many of each module, and within a module of each kind, as can be; never two of one line."""
    rng = random.Random(seed)
    turns = {}
    for module in modules:
        of_kinds = [(kind, rng.sample(found, len(found))) for kind in KINDS if (found := places(_source(module), kind))]
        rng.shuffle(of_kinds)
        most = max(len(found) for _, found in of_kinds)
        first_of_line: dict[int, tuple[str, int, str, int]] = {}
        for turn in range(most):
            for kind, found in of_kinds:
                if turn < len(found):
                    first_of_line.setdefault(found[turn][0], (kind, *found[turn]))
        turns[module] = list(first_of_line.values())
    rounds = max(map(len, turns.values()))
    chosen = [(module, *found[turn]) for turn in range(rounds) for module, found in turns.items() if turn < len(found)]
    return [mutant(*which) for which in chosen[:n]]


def equivalents() -> dict[tuple[str, str, str], str]:
    """Mutants that behave as the code does, and why."""
    with EQUIVALENT.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    return {(row["module"], row["before"], row["after"]): row["reason"] for row in rows}


class Copy:
    """The working tree, copied, in which mutants live."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "mess"
        listed = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).is_file():
                (self.root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, self.root / name)
        if (ROOT.parent / "shared").is_dir():
            (folder / "shared").symlink_to((ROOT.parent / "shared").resolve())
        self._n_runs = 0

    def seconds(self, module: str) -> float:
        """How long the tests of a module take without a mutant; they must pass."""
        start = time.monotonic()
        if (output := self._run(module, None)) is not None:
            sys.exit(f"The tests of {module} fail without a mutant:\n{output}")
        return time.monotonic() - start

    def kills(self, mutant: Mutant, patience_s: float) -> bool:
        path = self.root / "mess_core" / mutant.module
        original = path.read_text("utf-8")
        path.write_text(mutant.code, "utf-8")
        # Two mutants of one size within one second would be the same to Python, which then takes what it compiled.
        self._n_runs += 1
        os.utime(path, (2e9 + self._n_runs, 2e9 + self._n_runs))
        try:
            return self._run(mutant.module, patience_s) is not None
        finally:
            path.write_text(original, "utf-8")

    def _run(self, module: str, patience_s: float | None) -> str | None:
        """What the tests print if one fails or they take too long; None if all pass."""
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-x",
            "-q",
            "-p",
            "no:cacheprovider",
            "--doctest-modules",
            FROZEN,
            f"mess_core/{module}",
            *TESTS[module],
        ]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1" if patience_s else ""}
        with subprocess.Popen(
            command, cwd=self.root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True,
        ) as process:  # fmt: skip
            try:
                output, _ = process.communicate(timeout=patience_s)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)
                return "too long"
        return output if process.returncode else None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--of", nargs="+", choices=TESTS, default=list(TESTS), metavar="MODULE", help="by default all")
    parser.add_argument("--n", type=int, default=N_MUTANTS, help="how many (%(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    known = equivalents()
    chosen = sample(arguments.of, arguments.n, arguments.seed)
    for mutant in chosen:
        if mutant.key in known:
            print(f"equivalent  {mutant.place}\n            {known[mutant.key]}")
    tried = [mutant for mutant in chosen if mutant.key not in known]
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copies: queue.Queue[Copy] = queue.Queue()
        for number in range(N_AT_ONCE):
            copies.put(Copy(Path(folder) / str(number)))
        first = copies.queue[0]
        patience_s = {
            module: max(PATIENCE * first.seconds(module), LEAST_PATIENCE_S)
            for module in dict.fromkeys(mutant.module for mutant in tried)
        }

        def is_killed(mutant: Mutant) -> bool:
            copy = copies.get()
            try:
                is_killed = copy.kills(mutant, patience_s[mutant.module])
            finally:
                copies.put(copy)
            print(f"{'killed' if is_killed else 'SURVIVED':<10}  {mutant.place}", flush=True)
            return is_killed

        with ThreadPoolExecutor(N_AT_ONCE) as pool:
            n_killed = sum(pool.map(is_killed, tried))
    share = n_killed / len(tried)
    print(
        f"{n_killed} of {len(tried)} killed ({share:.0%}), {len(chosen) - len(tried)} equivalent, seed {arguments.seed}"
    )
    return 0 if share >= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
