"""The layers a job spec is made of, merged into one: the file it extends, the file, and --set."""

from __future__ import annotations

import copy
import difflib
import errno
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

from linreg_dist.jobspec.reading.problems import Origin, PathSet, Problem, show_path, spec_error
from linreg_dist.jobspec.reading.yaml_reader import Mark, Path, YamlError, read_yaml
from linreg_dist.wording.secrets import MASK, is_secret_name

_MAX_BYTES = 4 << 20  # a list of 100,000 levels has less
_ENDINGS = (".yaml", ".yml", ".json")
_FILE, _BASE, _SET = 0, 1, 2  # the order in which the problems of the sources are listed


@dataclass
class Layers:
    """Plain data that remembers where each value was written."""

    root: Origin
    data: dict[str, Any] = field(default_factory=dict)
    origins: dict[Path, Origin] = field(default_factory=dict)

    def origin(self, path: Path) -> Origin:
        """Return the origin of the value at `path`, or of the nearest value around it."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.origins:
                return self.origins[path[:length]]
        return self.root

    def overlay(self, other: Layers) -> None:
        """Merge `other` over this one: maps are merged, everything else is replaced."""
        replaced = PathSet()
        merged: dict[Path, Origin] = {}
        self._overlay(other, self.data, other.data, (), replaced, merged)
        kept = {at: origin for at, origin in self.origins.items() if not replaced.holds(at)}
        new = {at: origin for at, origin in other.origins.items() if replaced.holds(at)}
        self.origins = {**kept, **merged, **new}
        self.root = other.root

    def _overlay(
        self,
        other: Layers,
        mine: dict[str, Any],
        theirs: Mapping[str, Any],
        path: Path,
        replaced: PathSet,
        merged: dict[Path, Origin],
    ) -> None:
        for key, value in theirs.items():
            here = (*path, key)
            if isinstance(value, dict) and isinstance(mine.get(key), dict):
                merged[here] = other.origin(here)
                self._overlay(other, mine[key], value, here, replaced, merged)
            else:
                mine[key] = value
                replaced.add(here)

    def get(self, path: Path) -> Any:
        """Return the value at `path`, or None where there is none."""
        return get_at(self.data, path)

    def replace(self, path: Path, value: Any) -> None:
        """Set the existing value at `path` to another form of itself; where it was written stays."""
        self.get(path[:-1])[path[-1]] = value

    def put(self, path: Path, value: Any) -> None:
        """Set the value at `path`, whose parents are maps, absent or null; forget where the old one stood."""
        node = self.data
        for step in path[:-1]:
            if node.get(str(step)) is None:
                node[str(step)] = {}
            node = node[str(step)]
        node[str(path[-1])] = value
        for at in [at for at in self.origins if at[: len(path)] == path]:
            del self.origins[at]

    def strings(self) -> Iterator[tuple[Path, str]]:
        """Yield every text value with its path."""
        yield from _strings(self.data, ())


def has(node: Any, step: str | int) -> bool:
    """Tell whether `node` is a map with the key `step` or a list with that index."""
    if isinstance(node, dict):
        return step in node
    return isinstance(node, list) and isinstance(step, int) and step < len(node)


def get_at(data: Any, path: Path) -> Any:
    """Return the value at `path` in `data`, or None where there is none."""
    node: Any = data
    for step in path:
        if not has(node, step):
            return None
        node = node[step]
    return node


def _strings(node: Any, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(node, str):
        yield path, node
    elif isinstance(node, dict):
        for key, value in node.items():
            yield from _strings(value, (*path, key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _strings(value, (*path, index))


def from_mapping(data: Mapping[str, Any], shown: str = "<dict>") -> Layers:
    """Return `data` as a layer of that name; tuples become lists, so that it has the same shape as a file."""
    layers = Layers(Origin(shown, _FILE, os.getcwd()), _as_plain(data))
    _refuse_extends(layers, "extends works in files only; merge the maps before the call")
    return layers


def from_file(file: FilePath) -> Layers:
    """Read `file` and the file it extends, if any.

    Raises:
        SpecError: a file cannot be read, is not YAML, is not a map, or extends a file that extends another.

    """
    layers = _read(file, str(file), _FILE)
    if "extends" not in layers.data:
        return layers
    at = layers.origin(("extends",))
    name = layers.data.pop("extends")
    if not isinstance(name, str) or not name:
        raise spec_error([Problem(at, "expected the path of one other spec file", ("extends",))])
    base_file = FilePath(layers.root.folder, name)
    if not base_file.is_file():
        message = f'there is no file "{name}" beside this one; the path is relative to this file'
        raise spec_error([Problem(at, message, ("extends",))])
    base = _read(base_file, os.path.normpath(file.parent / name), _BASE)
    _refuse_extends(base, "a file that is extended cannot extend another; merge the two")
    base.overlay(layers)
    return base


def apply_overrides(layers: Layers, overrides: Mapping[str, Any] | Sequence[str]) -> list[Problem]:
    """Put ``a.b=c`` settings, or a map of dotted paths to values, over `layers`; return what is wrong."""
    problems = []
    settings: list[tuple[str, Any, Mapping[Path, Mark]]] = []
    root = Origin("--set", _SET, os.getcwd())
    if isinstance(overrides, Mapping):
        settings = [(path, _as_plain(value), {}) for path, value in overrides.items()]
    else:
        for text in [overrides] if isinstance(overrides, str) else overrides:
            dotted, equals, value = text.partition("=")
            if not equals:
                found = "a setting" if is_secret_name(text) else f'"{text}"'
                problems.append(Problem(root, f"found {found}, expected path=value, such as model.l2=0.1"))
                continue
            try:
                document = read_yaml(value)
            except YamlError as error:
                found = f"{dotted}={MASK}" if is_secret_name(dotted) else text
                problems.extend(Problem(root, f'"{found}": {fault[2]}') for fault in error.faults)
                continue
            settings.append((dotted.strip(), document.data, document.marks))
    for dotted, value, marks in settings:
        path = tuple(dotted.split("."))
        problem = _refuse_path(layers, path, root)
        if problem is not None:
            problems.append(problem)
            continue
        layers.put(path, value)
        layers.origins[path] = root
        for inner, mark in marks.items():
            # Positions within one setting say nothing; whether a scalar was quoted does.
            layers.origins[(*path, *inner)] = Origin(
                root.file, root.rank, root.folder, _without_position(mark)
            )
    return problems


def _refuse_path(layers: Layers, path: Path, root: Origin) -> Problem | None:
    if not all(path):
        return Problem(root, f'found the path "{show_path(path)}", expected names joined by single dots')
    if path == ("extends",):
        return Problem(root, "extends cannot be set from outside; write it into the file", path)
    fault = fault_in_part(layers, path)
    return Problem(root, fault, path) if fault is not None else None


def fault_in_part(layers: Layers, path: Path) -> str | None:
    """Return why the value at `path` cannot be set alone: something around it is no map."""
    for length in range(1, len(path)):
        parent = layers.get(path[:length])
        if parent is not None and not isinstance(parent, dict):
            whole = show_path(path[:length])
            kind = "a list" if isinstance(parent, list) else "one value"
            return f"{whole} is {kind}, which cannot be set in part; set {whole} as a whole"
    return None


def _without_position(mark: Mark) -> Mark:
    return Mark(0, 0, 0, 0, mark.plain)


def _read(file: FilePath, shown: str, rank: int) -> Layers:
    root = Origin(shown, rank, os.path.abspath(file.parent))
    try:
        text = _read_text(file)
    except FileNotFoundError:
        raise spec_error([Problem(root, f"there is no such file{_similar_file(file)}")]) from None
    except IsADirectoryError:
        raise spec_error([Problem(root, _of_folder(file))]) from None
    except UnicodeDecodeError as error:
        message = f"the file is not UTF-8 text (byte {error.start}); is this the spec?"
        if bytes(error.object[:4]) == b"PAR1":
            message = f"this is Parquet and no job spec; {_of_data(file)}"
        raise spec_error([Problem(root, message)]) from None
    except OSError as error:
        raise spec_error([Problem(root, f"the file cannot be read: {error.strerror}")]) from None
    try:
        document = read_yaml(text)
    except YamlError as error:
        raise spec_error(
            Problem(Origin(shown, rank, root.folder, Mark(line, column, line, column, False)), message)
            for line, column, message in error.faults
        ) from None
    root = Origin(shown, rank, root.folder, document.marks.get((), Mark(1, 1, 1, 1, False)))
    if not isinstance(document.data, dict):
        found = "nothing" if document.data is None else "no map"
        message = (
            f"found {found} in this file, expected a job spec: a map with data.path and data.target at least"
        )
        raise spec_error([Problem(root, message)])
    origins = {at: Origin(shown, rank, root.folder, mark) for at, mark in document.marks.items() if at}
    return Layers(root, document.data, origins)


def _read_text(file: FilePath) -> str:
    """Return the text of a spec file.

    Raises:
        OSError: it cannot be read, or is too long to be a spec.
        UnicodeDecodeError: it is not UTF-8.

    """
    # Without O_NONBLOCK, a fifo that nobody writes to would hold us for ever; /dev/stdin and <(…) are open.
    with os.fdopen(os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as source:
        is_fifo = stat.S_ISFIFO(os.fstat(source.fileno()).st_mode)
        if is_fifo and not file.is_relative_to("/dev") and not file.is_relative_to("/proc"):
            raise OSError(errno.EINVAL, "it is a fifo; expected a file")
        os.set_blocking(source.fileno(), True)
        content = source.read(_MAX_BYTES + 1)
    if len(content) > _MAX_BYTES:
        raise OSError(errno.EFBIG, f"it has more than {_MAX_BYTES >> 20} MiB; is this the spec?")
    return content.decode("utf-8-sig")


def _of_folder(folder: FilePath) -> str:
    """Return what to say where a folder was given in place of a spec."""
    specs = sorted(item.name for item in folder.iterdir() if item.suffix in _ENDINGS)
    if specs:
        more = f" or one of {len(specs) - 1} more" if len(specs) > 1 else ""
        return f'this is a folder, expected the file of a job spec; did you mean "{folder / specs[0]}"{more}?'
    return f"this is a folder, expected the file of a job spec; {_of_data(folder)}"


def _of_data(path: FilePath) -> str:
    return (
        f"train on it by linreg-dist train --data {path} --target COLUMN, or draft a spec by linreg-dist init"
    )


def _similar_file(file: FilePath) -> str:
    if not file.parent.is_dir():
        return f'; there is no folder "{file.parent}" either'
    specs = [item.name for item in file.parent.iterdir() if item.suffix in _ENDINGS]
    close = difflib.get_close_matches(file.name, sorted(specs), n=1)
    if close:
        return f'; did you mean "{file.parent / close[0]}"?'
    return "" if specs else "; linreg-dist init DATA -o job.yaml drafts one"


def _refuse_extends(layers: Layers, message: str) -> None:
    if "extends" in layers.data:
        raise spec_error([Problem(layers.origin(("extends",)), message, ("extends",), at_key=True)])


def _as_plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _as_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_as_plain(item) for item in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return copy.deepcopy(value)
