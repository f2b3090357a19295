"""`Format`: one form of a model that other programs run; `Formats`: all of them, by name.

To add a format, write one module beside this one with one subclass of `Format`: it is found there, and no
other file names it. This module and those of the formats load nothing heavy, because the job spec asks for
their names; what does the work is imported where `Format.files` is called.
"""

from __future__ import annotations

import importlib.util
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar

from linreg_dist.errors import SpecError

if TYPE_CHECKING:
    from linreg_dist.model.linear_model import LinearModel


class Format(ABC):
    """A form to save a model in.

    Attributes:
        name: what ``outputs.export`` and ``--to`` say.
        extra: the extra of linreg-dist that brings what it needs; its name, unless it says another.
        needs: modules that must be importable.
        place: the file or folder of it in a run's ``export/``.
        is_folder: whether it is a folder of files, whose paths below it match `inside`.
        has_dialects: whether ``--dialect`` means something to it.

    """

    name: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ()
    place: ClassVar[str]
    is_folder: ClassVar[bool] = False
    inside: ClassVar[re.Pattern[str]] = re.compile("")
    has_dialects: ClassVar[bool] = False

    @property
    def extra(self) -> str:
        """The extra of linreg-dist that brings what it needs."""
        return self.name

    @abstractmethod
    def files(self, model: LinearModel, dialect: str | None = None) -> Mapping[str, bytes]:
        """Return the content of each file by its path below the folder; of a single file under ``""``.

        Args:
            model: what to save.
            dialect: which one, where `has_dialects`; None is the format's usual one.

        Raises:
            SpecError: the model cannot be saved so, or there is no such dialect; says why.

        """

    def writes(self, name: str) -> bool:
        """Return whether the format writes a file of this path below a run's ``export/``."""
        place, _, below = name.partition("/")
        return place == self.place and (bool(self.inside.fullmatch(below)) if self.is_folder else not below)

    def missing_modules(self) -> list[str]:
        """Return which modules it needs and does not find."""
        return [module for module in self.needs if not _is_there(module)]

    def require(self, asked_by: str) -> None:
        """See that what the format needs is installed.

        Args:
            asked_by: what asks for it, for the message.

        Raises:
            SpecError: a module is missing; names the extra that brings it.

        """
        missing = self.missing_modules()
        if missing:
            raise SpecError(
                f"{asked_by} {self.name} needs {', '.join(missing)}, which is not installed; run "
                f"pip install 'linreg-dist[{self.extra}]', or leave it out"
            )


class Formats(Mapping[str, Format]):
    """Every format by its name."""

    def __init__(self) -> None:
        self._formats: dict[str, Format] = {}

    def add(self, one: Format) -> None:
        """Add a format.

        Raises:
            ValueError: there is one of this name, or one that writes to the same place.

        """
        for other in self._formats.values():
            if one.name == other.name or one.place == other.place:
                raise ValueError(f"the format {other.name} has the name or the place of {one.name} already")
        self._formats[one.name] = one

    def remove(self, name: str) -> None:
        """Remove a format that was added."""
        del self._formats[name]

    def __getitem__(self, name: str) -> Format:
        return self._formats[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._formats)

    def __len__(self) -> int:
        return len(self._formats)


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False
