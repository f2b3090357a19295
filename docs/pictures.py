"""The pictures of the README and the gallery: a run in a terminal as SVG, its report in a browser as PNG.

``make pictures`` trains on the flights in a temporary folder and writes ``docs/pictures``. It needs chromium
on the PATH.
"""

from __future__ import annotations

import io
import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyte
from PIL import Image
from rich.console import Console
from rich.style import Style
from rich.terminal_theme import MONOKAI
from rich.text import Text

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "docs" / "pictures"
COLUMNS, LINES = 92, 60
PAGE = (1000, 1240)
COLOURS = 64
_FONT = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
_BROWSERS = ("chromium", "google-chrome", "chromium-browser")


def main() -> int:
    """Write both pictures; return 1 where the run fails."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="linreg_dist-pictures-") as name:
        folder = Path(name)
        (folder / "jobs").symlink_to(ROOT / "jobs")
        screen, code = run(["train", "jobs/flights.yaml"], folder)
        if code:
            print("\n".join(screen.display), file=sys.stderr)
            return 1
        lines = [_prompt("linreg-dist train jobs/flights.yaml"), *_lines(screen)]
        write_svg([_without(line, str(folder)) for line in lines], PICTURES / "run.svg")
        write_png(folder / "runs" / "flights" / "report.html", PICTURES / "report.png")
    return 0


def run(arguments: list[str], folder: Path) -> tuple[pyte.Screen, int]:
    """Run the program in a terminal of its own, and return what is on the screen at the end."""
    screen = pyte.Screen(COLUMNS, LINES)
    stream = pyte.ByteStream(screen)
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(COLUMNS), "LINES": str(LINES)}
    environment.pop("NO_COLOR", None)
    process = subprocess.Popen(  # noqa: S603 (our own program)
        [sys.executable, "-m", "linreg_dist", *arguments],
        cwd=folder,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment,
    )
    os.close(theirs)
    while True:
        try:
            content = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not content:
            break
        stream.feed(content)
    os.close(ours)
    return screen, process.wait()


def _prompt(command: str) -> Text:
    return Text("$ ", style="green") + Text(command, style="bold")


def _lines(screen: pyte.Screen) -> Iterator[Text]:
    """Yield the lines of a screen up to the last that is not blank, with their colours."""
    last = max((number for number, line in enumerate(screen.display) if line.strip()), default=-1)
    for number in range(last + 1):
        line = Text()
        for column in range(COLUMNS):
            cell = screen.buffer[number][column]
            style = Style(
                color=None if cell.fg == "default" else _colour(cell.fg),
                bold=cell.bold or None,
                italic=cell.italics or None,
            )
            line.append(cell.data, style)
        line.rstrip()
        yield line


def _colour(name: str) -> str:
    if len(name) == 6 and all(character in "0123456789abcdef" for character in name):
        return f"#{name}"
    return {"brown": "yellow"}.get(name, name.replace("bright", "bright_"))


def _without(line: Text, folder: str) -> Text:
    """Return a line in which the temporary folder is called as a reader would have it."""
    at = line.plain.find(folder)
    if at < 0:
        return line
    return line[:at] + Text("~/linreg_dist") + line[at + len(folder) :]


def write_svg(lines: list[Text], target: Path) -> None:
    """Write lines of a terminal as SVG."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    for line in lines:
        console.print(line, soft_wrap=True)
    picture = console.export_svg(title="linreg_dist", theme=MONOKAI, unique_id="run")
    target.write_text(_FONT.sub("", picture))  # it would be fetched from elsewhere


def write_png(page: Path, target: Path) -> None:
    """Write the top of a page as a browser shows it, in few colours."""
    browser = next((found for name in _BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        raise SystemExit(f"no browser on the PATH; expected one of {', '.join(_BROWSERS)}")
    width, height = PAGE
    with tempfile.TemporaryDirectory() as folder:
        shot = Path(folder) / "page.png"
        subprocess.run(  # noqa: S603 (a browser from the PATH)
            [
                browser,
                "--headless=new",
                "--no-sandbox",
                "--hide-scrollbars",
                "--disable-gpu",
                f"--user-data-dir={folder}/profile",
                f"--window-size={width},{height}",
                f"--screenshot={shot}",
                page.resolve().as_uri(),
            ],
            check=True,
            capture_output=True,
            timeout=120,
        )
        with Image.open(shot) as image:
            image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(target, optimize=True)


if __name__ == "__main__":
    sys.exit(main())
