"""`init`: a commented job spec, drafted from the data, that trains as it is."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

import yaml

from linreg_dist.data.source.files import absolute_paths
from linreg_dist.data.source.manifest import read_manifest
from linreg_dist.documents import DraftedSpec
from linreg_dist.errors import SpecError
from linreg_dist.jobspec import is_uri, load_spec, run_name
from linreg_dist.verbs.begin.choose import Choices, choose
from linreg_dist.verbs.begin.look import Facts, look
from linreg_dist.wording.numbers import format_count
from linreg_dist.wording.text import safe_name

_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*")
_WORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}
_NOT_YAML = re.compile("[^\t\n -~\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_WIDEST = 32


def init(
    data: str | Sequence[str], targets: Sequence[str] = (), output: str | os.PathLike[str] | None = None
) -> DraftedSpec:
    """Draft a job spec from Parquet.

    Args:
        data: file, folder, glob, URI, or a list of those.
        targets: columns to predict; empty to take the obvious one.
        output: the file to write, where none is yet; None writes none.

    Returns:
        The draft, with what was chosen and what was left out.

    Raises:
        SpecError: which column is to be predicted is not obvious, or the output cannot be written.
        DataError: the data cannot be read, or nothing in it can be predicted.
        StorageError: an object store does not answer.

    """
    paths = [data] if isinstance(data, str) else list(data)
    file = None if output is None else _output(output)
    absolute = absolute_paths(paths)
    as_spec = {"data": {"path": [_escaped(path) for path in absolute], "target": "y"}}
    load_spec(as_spec, shown="the command line")  # refuses secrets
    manifest = read_manifest(absolute)
    facts = look(manifest)
    choices = choose(facts, manifest, targets)
    folder = os.getcwd() if file is None else str(file.absolute().parent)
    name = run_name(paths[0]) if file is None else run_name(file)
    text = _text(name, [_near(path, folder) for path in absolute], facts, choices)
    if file is not None:
        _write(file, text)
    return DraftedSpec(
        path=None if file is None else str(file),
        name=name,
        targets=list(choices.targets),
        features=list(choices.features),
        left_out=choices.left_out,
        rows=facts.rows,
        rows_looked_at=facts.rows_looked_at,
        spec=text,
    )


def _output(output: str | os.PathLike[str]) -> Path:
    """Return the file to write.

    Raises:
        SpecError: it is there already, is no place for a file, or has another ending.

    """
    if is_uri(os.fspath(output)):
        raise SpecError(f"-o {output} is a URI; expected a file on this machine, such as job.yaml")
    file = Path(output)
    if file.suffix not in (".yaml", ".yml"):
        raise SpecError(f"-o {file}: expected a name that ends in .yaml, such as job.yaml")
    if os.path.lexists(file):
        raise SpecError(f"-o {file} is there already and is left as it is; give another name, or remove it")
    if not file.absolute().parent.is_dir():
        raise SpecError(f"-o {file}: there is no folder {file.parent}; make it, or give another name")
    return file


def _write(file: Path, text: str) -> None:
    try:
        with file.open("x", encoding="utf-8") as sink:
            sink.write(text)
    except OSError as error:
        raise SpecError(f"-o {file} cannot be written: {error.strerror}; give another name") from error


def _near(path: str, folder: str) -> str:
    """Return a path as it is best written in a file of that folder: relative if it is near."""
    if is_uri(path):
        return path
    relative = os.path.relpath(path, folder)
    return path if relative.startswith(os.path.join("..", "..", "..")) else relative


def _text(name: str, paths: Sequence[str], facts: Facts, choices: Choices) -> str:
    looked = (
        f"all {format_count(facts.rows)} rows"
        if facts.is_all
        else f"{format_count(facts.rows_looked_at)} of {format_count(facts.rows)} rows"
    )
    width = min(_WIDEST, max(len(_value(feature)) for feature in choices.features))
    method, validation = choices.validation
    lines = [
        f"# Drafted by linreg-dist init from {looked}. It trains as it is: read the comments, and",
        "# change what you know better. linreg-dist schema has every field with a sentence.",
        "version: 1",
        f"name: {_value(name)}",
        "",
        "data:",
        f"  path: {_one_or_more(paths)}",
        f"  target: {_one_or_more(choices.targets)}{_comment(choices.why)}",
        "  features:",
        *(
            f"    - {_value(feature).ljust(width)}{_comment(note)}"
            for feature, note in choices.features.items()
        ),
    ]
    if choices.left_out:
        lines.append("  # Left out:")
        lines += [f"  #   {_shown(column)}: {_shown(reason)}" for column, reason in choices.left_out.items()]
    if choices.categorical:
        lines.append("  # A 0/1 column for each level but the first in order, which the others compare to.")
        lines.append("  categorical:")
        lines += [f"    {_value(column)}: auto" for column in choices.categorical]
    lines += [
        f"  missing: {choices.missing[0]}{_comment(choices.missing[1])}",
        f"  validation: {{method: {'hash' if method else 'none'}}}{_comment(validation)}",
        "",
        "# The exact answer in one pass, with standard errors. To change that, take off the # of a line:",
        "# model: {l2: 0.01}                             # ridge; l1 is the lasso, both are the elastic net",
        "# model: {loss: huber}                          # for outliers in the target",
        "# tune: {l2: [0.001, 0.01, 0.1, 1], folds: 5}   # the penalty by cross-validation, in the same pass",
        "# solver: {name: adam, epochs: 10}              # or sgd, adamw, rmsprop, lbfgs",
        "# scaling: {num_workers: 4}                     # Ray workers; 0 is this process and all its cores",
    ]
    return "\n".join(lines) + "\n"


def _one_or_more(values: Sequence[str]) -> str:
    return _value(values[0]) if len(values) == 1 else f"[{', '.join(map(_value, values))}]"


def _value(text: str) -> str:
    """Return a text as a YAML scalar on one line."""
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    dumped: str = yaml.safe_dump(
        _escaped(text), default_style='"', allow_unicode=True, width=float("inf"), explicit_end=False
    )
    return dumped.rstrip("\n")


def _escaped(text: str) -> str:
    """Return a text so that no variable of the environment is looked up for it."""
    return text.replace("${", "$${")


def _comment(note: str | None) -> str:
    return "" if note is None else f"  # {_shown(note)}"


def _shown(text: str) -> str:
    return _NOT_YAML.sub("\ufffd", safe_name(text))
