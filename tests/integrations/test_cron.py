"""What cron gives, night after night: the line of the example, with cron's bare environment."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.integrations.commands import EXAMPLES, copy_example, deliver, result_of, solve_exactly


@pytest.mark.slow  # four nights, each a command of its own
def test_what_cron_gives_goes_on_and_adds_what_is_new(tmp_path: Path) -> None:
    place = copy_example("dvc", tmp_path)
    solve_exactly(place)
    (line,) = [
        line for line in (EXAMPLES / "cron/crontab").read_text().splitlines() if not line.startswith("#")
    ]
    command = line.split(None, 5)[5].replace("/srv/flights", str(place))
    command = command.replace(".venv/bin/linreg-dist", f"{Path(sys.executable).parent}/linreg-dist")
    bare = {"HOME": str(place), "PATH": "/usr/bin:/bin", "SHELL": "/bin/sh", "LANG": "C"}

    def night() -> int:
        done = subprocess.run(["/bin/sh", "-c", command], cwd="/", env=bare, timeout=300, check=False)
        return done.returncode

    assert night() == 0, (place / "train.log").read_text()
    assert night() == 0
    deliver(place, 3)
    assert night() == 0, (place / "train.log").read_text()
    assert result_of(place)["update"]["files"] == 1
    (place / "data/month=3/part-0.parquet").write_bytes(b"PAR1 and nothing else")
    assert night() == 3
