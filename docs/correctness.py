"""The proof page, docs/correctness.md: certified digits, known relations and equal bits, measured anew.

``make correctness`` runs it; it takes some minutes. R is asked where ``Rscript`` is installed.
"""

from __future__ import annotations

import json
import math
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import sklearn
import statsmodels
import statsmodels.api as sm
from sklearn.linear_model import LinearRegression

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import linreg_dist as lr  # noqa: E402 (the repository's own, and its tests)
from tests.metamorphic import RELATIONS  # noqa: E402
from tests.stats.nist_problems import REFERENCES, Reference, exact_solution  # noqa: E402

PAGE = ROOT / "docs" / "correctness.md"
Values = Sequence[float | None]

R_PROGRAM = """
d <- read.csv(commandArgs(TRUE)[1])
model <- if (commandArgs(TRUE)[2] == "1") lm(y ~ ., d) else lm(y ~ . - 1, d)
cat(sprintf("%.17g", coef(model)), sep = "\\n")
"""

TRAIN = """
import json, os, sys
import numpy as np
os.sched_setaffinity(0, range(int(sys.argv[2])))
import linreg_dist as lr
run = lr.train(json.loads(sys.argv[1]))
print(np.ravel([*run.model.coef_, run.model.intercept_]).tobytes().hex())
"""


def digits(values: Values, certified: Sequence[float]) -> str:
    """Return the least number of correct significant digits over the coefficients, at most 15."""
    if any(value is None for value in values):
        return "a column dropped"
    errors = [abs((Fraction(v) - Fraction(c)) / Fraction(c)) for v, c in zip(values, certified, strict=True)]
    return f"{min(-math.log10(max(float(error), 1e-15)) for error in errors):.1f}"


def by_us(reference: Reference, folder: Path) -> tuple[Values, str]:
    """Return our coefficients, and by which method."""
    x, y = reference.arrays()
    names = [f"x{j}" for j in range(x.shape[1])]
    path = folder / f"{reference.name}.parquet"
    columns = {name: x[:, j] for j, name in enumerate(names)} | {"y": y[:, 0]}
    pq.write_table(pa.table(columns), path, row_group_size=7)
    run = lr.train(
        {
            "name": reference.name,
            "data": {"path": str(path), "target": "y", "features": names, "validation": {"method": "none"}},
            "model": {"fit_intercept": reference.fit_intercept},
            "run": {"storage_path": str(folder / "runs")},
            "outputs": {"report": False},
        }
    )
    coef = np.ravel(run.model.coef_).tolist()
    intercept = np.ravel(run.model.intercept_).tolist()
    return (intercept + coef if reference.fit_intercept else coef), str(run.result["solver"]["method"])


def by_r(reference: Reference, folder: Path) -> Values | None:
    """Return the coefficients of R's lm, None without R."""
    rscript = shutil.which("Rscript")
    if rscript is None:
        return None
    x, y = reference.arrays()
    path, program = folder / f"{reference.name}.csv", folder / "lm.R"
    names = ["y", *(f"x{j}" for j in range(x.shape[1]))]
    lines = [",".join(names)] + [",".join(repr(float(v)) for v in row) for row in np.hstack([y, x])]
    path.write_text("\n".join(lines) + "\n")
    program.write_text(R_PROGRAM)
    command = [rscript, str(program), str(path), str(int(reference.fit_intercept))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 (R)
    return [None if word == "NA" else float(word) for word in done.stdout.split()]


def certified_table(folder: Path) -> str:
    """Return the table of certified digits."""
    lines = [
        "| problem | ours | by | exact arithmetic | R `lm` | numpy `lstsq` | statsmodels | scikit-learn |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for reference in REFERENCES:
        x, y = reference.arrays()
        ones = reference.fit_intercept
        design = np.column_stack([np.ones(len(x)), x]) if ones else x
        estimator = LinearRegression(fit_intercept=ones).fit(x, y[:, 0])
        as_read = Reference("", "", _fractions(x), [row[0] for row in _fractions(y)], ones, [], 0.0)
        ours, method = by_us(reference, folder)
        by_r_lm = by_r(reference, folder)
        found = [
            digits(ours, reference.certified),
            method,
            digits([float(value) for value in exact_solution(as_read)], reference.certified),
            "not installed" if by_r_lm is None else digits(by_r_lm, reference.certified),
            digits(np.linalg.lstsq(design, y[:, 0], rcond=None)[0].tolist(), reference.certified),
            digits(sm.OLS(y[:, 0], design).fit().params.tolist(), reference.certified),
            digits([*([estimator.intercept_] if ones else []), *estimator.coef_], reference.certified),
        ]
        lines.append(f"| {reference.name} | " + " | ".join(found) + " |")
    return "\n".join(lines)


def _fractions(values: np.ndarray) -> list[list[Fraction]]:
    return [[Fraction(float(value)) for value in row] for row in values]


def relations_table(folder: Path) -> str:
    """Return the table of changes whose effect is known."""
    lines = ["| change | what must follow | largest difference |", "|---|---|---|"]
    for number, relation in enumerate(RELATIONS):
        place = folder / f"relation-{number}"
        place.mkdir()
        lines.append(f"| {relation.change} | {relation.then} | {relation.difference(place):.1g} |")
    return "\n".join(lines)


def bits_table(folder: Path) -> str:
    """Return the table of the same job under other circumstances."""
    rng = np.random.default_rng(3)
    (folder / "bits").mkdir()
    for part in range(8):
        x = rng.normal(size=(25_000, 8)).astype(np.float32)
        y = x @ np.arange(8, dtype=np.float32) + rng.normal(size=len(x)).astype(np.float32)
        columns = {f"x{j}": x[:, j] for j in range(8)} | {"y": y}
        pq.write_table(pa.table(columns), folder / "bits" / f"{part}.parquet", row_group_size=5_000)
    circumstances: dict[str, Callable[[str], str]] = {
        "two threads": lambda solver: trained(folder, solver, "threads-2", cpus=2),
        "one worker of Ray": lambda solver: trained(folder, solver, "workers-1", workers=1),
        "two workers of Ray": lambda solver: trained(folder, solver, "workers-2", workers=2),
        "stopped and continued": lambda solver: continued(folder, solver),
    }
    solvers = ("exact", "adam", "lbfgs")
    lines = [
        "| against one thread of one process | " + " | ".join(solvers) + " |",
        "|---|" + "---|" * len(solvers),
    ]
    first = {solver: trained(folder, solver, "threads-1") for solver in solvers}
    for name, train in circumstances.items():
        lines.append(f"| {name} | " + " | ".join(_compared(first[s], train(s)) for s in solvers) + " |")
    return "\n".join(lines)


def _compared(first: str, second: str) -> str:
    if first == second:
        return "the same bits"
    a, b = (np.frombuffer(bytes.fromhex(text)) for text in (first, second))
    return f"{np.abs(a - b).max() / np.abs(a).max():.1g}"


def _job(folder: Path, solver: str, name: str, workers: int) -> str:
    steps = {} if solver == "exact" else {"epochs": 6, "early_stop": None}
    if solver == "adam":
        steps |= {"global_batch_size": 512, "learning_rate": 0.01}
    return json.dumps(
        {
            "name": f"{solver}-{name}",
            "data": {"path": str(folder / "bits"), "target": "y"},
            "solver": {"name": solver, **steps},
            "scaling": {"num_workers": workers},
            "run": {"storage_path": str(folder / "runs"), "checkpoint_every_s": 0.05},
            "outputs": {"report": False},
        }
    )


def trained(folder: Path, solver: str, name: str, *, cpus: int = 1, workers: int = 0) -> str:
    """Train in a process of its own and return the model's bits."""
    command = [sys.executable, "-c", TRAIN, _job(folder, solver, name, workers), str(max(cpus, workers))]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)  # noqa: S603 (our own interpreter)
    return done.stdout.strip().splitlines()[-1]


def continued(folder: Path, solver: str) -> str:
    """Train, stopped as soon as there is a checkpoint, and again to the end."""
    command = [sys.executable, "-c", TRAIN, _job(folder, solver, "stopped", 0), "1"]
    checkpoints = folder / "runs" / f"{solver}-stopped" / "checkpoints"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT) as process:  # noqa: S603 (our own interpreter)
        while process.poll() is None and not list(checkpoints.glob("**/*.safetensors")):
            time.sleep(0.002)  # a file that another process is about to write offers no event
        process.send_signal(signal.SIGINT)
    return trained(folder, solver, "stopped")


def page() -> str:
    """Return the whole page."""
    with tempfile.TemporaryDirectory(prefix="lrd-correctness-") as name:
        folder = Path(name)
        certified, relations, bits = certified_table(folder), relations_table(folder), bits_table(folder)
    r = shutil.which("Rscript")
    r_version = "not installed"
    if r is not None:
        said = subprocess.run([r, "--version"], capture_output=True, text=True, check=True)  # noqa: S603 (R)
        r_version = (said.stdout + said.stderr).split("version ")[1].split()[0]
    versions = (
        f"Python {platform.python_version()}, numpy {np.__version__}, statsmodels {statsmodels.__version__}, "
        f"scikit-learn {sklearn.__version__}, R {r_version}; {platform.machine()}, {os.cpu_count()} cores"
    )
    return f"""# Correctness

Written by `make correctness` ({versions}).

## Certified digits

The linear regression problems of the NIST Statistical Reference Datasets: correct significant digits of the
worst coefficient, against the certified values, which have 15. Every program is given the same float64 rows,
with its defaults. "Exact arithmetic" is a solve of those rows in rational numbers: where it falls short of
15, rounding the powers of x to float64 has already moved the answer: more digits are chance.

{certified}

`gram` is the one pass over the rows, `tsqr` a second one by QR, `double_double` the last escalation for
ill-conditioned problems, see [the decision](decisions/exact-by-moments-and-qr.md).

## Relations that must hold

A data set of 3,000 rows, four numeric columns and a category, is changed in a way whose effect is known. The
difference is relative to the largest coefficient.

{relations}

## The same bits

A job on 200,000 rows, again under other circumstances. Each worker sums fixed parts of the rows, and the
parts are added in a fixed order.

{bits}
"""


if __name__ == "__main__":
    PAGE.write_text(page())
    print(PAGE.relative_to(ROOT))
