"""Hints at what was meant by an option or a verb that does not exist."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import click

_SURE = 0.8
_OTHER_WORDS = {
    "batch_size": "solver.global_batch_size",
    "gpu": "scaling.use_gpu",
    "lambda": "model.l2",
    "lr": "solver.learning_rate",
    "output": "run.storage_path",
    "output_dir": "run.storage_path",
    "penalty": "model.l2",
    "seed": "solver.seed",
    "solver": "solver.name",
    "storage": "run.storage_path",
    "timeout": "run.timeout_s",
    "workers": "scaling.num_workers",
}
_OTHER_VERBS = {
    "apply": "predict",
    "check": "validate",
    "compare": "batch",
    "describe": "show",
    "draft": "init",
    "example": "demo",
    "fit": "train",
    "help": "--help",
    "merge": "stats merge",
    "new": "init",
    "run": "train",
    "score": "predict",
    "solve": "stats solve",
    "start": "demo",
    "sweep": "batch",
    "test": "evaluate",
    "version": "--version",
}


def of_verb(given: str, verbs: Sequence[str]) -> str:
    """Return what to say after that there is no such verb."""
    meant = _OTHER_VERBS.get(given.lower())
    if meant is not None and meant.split()[0] in (*verbs, "--help", "--version"):
        return f'did you mean "linreg-dist {meant}"?'
    close = difflib.get_close_matches(given, verbs, n=1)
    return f'did you mean "{close[0]}"?' if close else f"the verbs are {', '.join(verbs)}"


def of_option(error: click.NoSuchOption, arguments: Sequence[str]) -> click.UsageError:
    """Return the error for an option that does not exist: with the field of the spec, or the option, that was
    meant.

    Args:
        error: as click has it, which guesses wildly.
        arguments: the command line.

    """
    given, context = error.option_name, error.ctx
    options: list[str] = []
    if context is not None:
        options = [name for each in context.command.get_params(context) for name in each.opts]
    close = difflib.get_close_matches(given, options, n=1, cutoff=_SURE)
    field = _field(given) if "--set" in options else None
    if close:
        hint = f"did you mean {close[0]}?"
    elif field is not None:
        hint = f"fields of the spec are set by --set {field}={_value(given, arguments)}"
    elif context is not None:
        hint = f"{context.command_path} --help lists those it has"
    else:
        hint = "--help lists those there are"
    return click.UsageError(f"there is no option {given}; {hint}", context)


def _field(option: str) -> str | None:
    """Return the field of the spec that an option's name means, if it means one."""
    from linreg_dist.jobspec.reading.phrases import field_paths

    name = option.lstrip("-").replace("-", "_").lower()
    if name in _OTHER_WORDS:
        return _OTHER_WORDS[name]
    by_name: dict[str, str] = {}
    for path in field_paths():
        by_name.setdefault(path.rpartition(".")[2], path)
        by_name.setdefault(path.replace(".", "_"), path)
    close = difflib.get_close_matches(name, by_name, n=1, cutoff=_SURE)
    return by_name[close[0]] if close else None


def _value(option: str, arguments: Sequence[str]) -> str:
    """Return the value that was given with an option, or what stands for one."""
    for place, argument in enumerate(arguments):
        if argument.startswith(f"{option}="):
            return argument.partition("=")[2]
        if argument == option and place + 1 < len(arguments) and not arguments[place + 1].startswith("-"):
            return arguments[place + 1]
    return "VALUE"
