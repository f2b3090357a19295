"""What people expect of the repository, and what its parts say of each other, is so."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import check_jsonschema.builtin_schemas as builtin_schemas
import jsonschema
import pytest
import yaml

import linreg_dist as lr
import linreg_dist.sklearn as of_sklearn
from docs import excerpts
from linreg_dist.data.design.kinds import KINDS
from linreg_dist.solvers import SOLVERS

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
WORKFLOW = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text())

# To add a name is a promise, to take one away breaks programs: both are decided here.
PUBLIC = {
    "ClusterError",
    "DataError",
    "InterruptedRunError",
    "JobSpec",
    "LimitError",
    "LinearModel",
    "LinregDistError",
    "Run",
    "RunFailedError",
    "RunInUseError",
    "SpecError",
    "StorageError",
    "__version__",
    "fit",
    "train",
}


def test_the_public_surface_is_all() -> None:
    assert set(lr.__all__) == PUBLIC
    assert sorted(lr.__all__) == lr.__dir__()
    for name in lr.__all__:
        assert getattr(lr, name) is not None
    assert set(of_sklearn.__all__) == {"DistributedLinearRegression"}


def test_no_other_name_is_exposed() -> None:
    script = (
        "import types, linreg_dist as lr\n"
        "names = {n for n, v in vars(lr).items() if not n.startswith('_')"
        " and not isinstance(v, types.ModuleType)}\n"
        "print(*sorted(names - set(lr.__all__) - {'annotations', 'TYPE_CHECKING', 'Any'}))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'fitt'"):
        lr.fitt  # noqa: B018 (the look is what raises)


@pytest.mark.parametrize(
    ("file", "schema"),
    [
        (".github/workflows/test.yml", "github-workflows"),
        (".github/workflows/integrations.yml", "github-workflows"),
        (".github/dependabot.yml", "dependabot"),
    ],
)
def test_what_github_reads_is_valid(file: str, schema: str) -> None:
    # Parsed as YAML 1.2 does, where `on` is a word.
    text = re.sub(r"^on:", '"on":', (ROOT / file).read_text(), flags=re.MULTILINE)
    jsonschema.Draft7Validator(builtin_schemas.get_builtin_schema(f"vendor.{schema}")).validate(
        yaml.safe_load(text)
    )


def test_the_workflow_calls_make_targets_on_the_versions_that_are_claimed() -> None:
    makefile = (ROOT / "Makefile").read_text()
    claimed = {
        found[1]
        for line in PROJECT["project"]["classifiers"]
        if (found := re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", line))
    }
    for job in WORKFLOW["jobs"].values():
        assert set(job["strategy"]["matrix"]["python"]) == claimed
        targets = [
            step["run"].removeprefix("make ")
            for step in job["steps"]
            if step.get("run", "").startswith("make")
        ]
        assert targets
        for target in targets:
            assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target


def test_hooks_run_the_pinned_tools_of_the_environment() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    (local,) = config["repos"]
    assert local["repo"] == "local"
    for hook in local["hooks"]:
        program = shlex.split(hook["entry"])[0]
        assert program.startswith(".venv/bin/")
        assert Path(sys.executable).with_name(Path(program).name).exists(), "a tool of the test group"


def test_the_changelog_begins_with_what_is_unreleased_and_dates_the_rest() -> None:
    headings = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)
    assert headings[0] == "[Unreleased]"
    assert all(re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", heading) for heading in headings[1:])


def test_every_dependency_is_pinned() -> None:
    # The orchestrators' dependencies cannot be installed together: each has an environment of its own.
    files = [ROOT / "constraints.txt", *(ROOT / "tests/integrations").glob("*/requirements.txt")]
    pins = {
        line.partition("==")[0].lower().replace("_", "-")
        for file in files
        for line in file.read_text().splitlines()
        if "==" in line and not line.startswith("#")
    }
    groups = [PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"].values()]
    groups += PROJECT["dependency-groups"].values()
    named = {
        re.match(r"[A-Za-z0-9._-]+", each)[0].lower().replace("_", "-")  # type: ignore[index]  # all begin so
        for group in groups
        for each in group
        if isinstance(each, str)  # else it includes another group
    }
    assert named <= pins, named - pins


def test_documents_link_to_files_that_are_there() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "benchmarks/README.md"]
    for page in pages:
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.relative_to(ROOT)} links to {target}"


@pytest.mark.parametrize("page", sorted((ROOT / "docs").rglob("*.md")), ids=lambda page: page.stem)
def test_excerpts_are_what_the_code_says(page: Path) -> None:
    text = page.read_text()
    assert excerpts.renewed(text) == text, "run `make docs`"


def test_an_excerpt_follows_a_function_that_has_moved() -> None:
    renewed = excerpts.renewed("<!-- excerpt: linreg_dist/nowhere.py BlockBuilder._build_complete -->\n")
    assert "def _build_complete(self, group: RowGroup)" in renewed
    assert "linreg_dist/data/" in renewed
    with pytest.raises(LookupError, match="no_such_function is not in"):
        excerpts.renewed("<!-- excerpt: linreg_dist/nowhere.py no_such_function -->\n")


def test_the_picture_of_the_rings_shows_every_layer() -> None:
    picture = re.search(
        r"```mermaid\nflowchart.*?```", (ROOT / "docs/architecture.md").read_text(), re.DOTALL
    )
    assert picture is not None
    layers = PROJECT["tool"]["importlinter"]["contracts"][0]["layers"]
    names = {
        name.strip().removeprefix("linreg_dist.") for layer in layers for name in re.split("[|:]", layer)
    }
    drawn = {name.strip() for title in re.findall("<b>(.*?)</b>", picture[0]) for name in title.split(",")}
    assert drawn == names


def test_decisions_name_tests_that_are_there_and_are_all_listed() -> None:
    folder = ROOT / "docs/decisions"
    index = (folder / "README.md").read_text()
    for page in folder.glob("*.md"):
        assert page.name == "README.md" or f"({page.name})" in index
        for named in re.findall(r"`((?:tests|benchmarks)/[\w/.]+)`", page.read_text()):
            assert (ROOT / named).exists(), f"{page.name} names {named}"


def test_only_the_room_of_kinds_asks_what_kind_a_column_is() -> None:
    kinds = {kind.__name__ for kind in KINDS}
    package = ROOT / "linreg_dist"
    asking = [
        f"{module.relative_to(package)}:{call.lineno}"
        for module in package.rglob("*.py")
        if "design" not in module.parts
        for call in ast.walk(ast.parse(module.read_text()))
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") in {"isinstance", "issubclass"}
        if kinds & {getattr(name, "id", "") for name in ast.walk(call.args[1])}
    ] + [
        f"{module.relative_to(package)}:{compared.lineno}"
        for module in package.rglob("*.py")
        if "design" not in module.parts
        for compared in ast.walk(ast.parse(module.read_text()))
        if isinstance(compared, ast.Compare)
        if kinds & {getattr(name, "id", "") for name in ast.walk(compared)}
    ]
    assert not asking, "a class of its own for each kind knows what differs: add a method there"


def test_only_the_room_of_solvers_compares_their_names() -> None:
    package = ROOT / "linreg_dist"
    names = set(SOLVERS) - {"auto"}  # a word of many fields
    comparing = [
        f"{module.relative_to(package)}:{node.lineno}"
        for module in package.rglob("*.py")
        if "solvers" not in module.parts
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.Compare | ast.MatchValue | ast.Dict | ast.Subscript)
        if names & {each.value for each in ast.walk(node) if isinstance(each, ast.Constant)}
    ]
    assert not comparing, "a solver's class knows what differs: add a method there"


def test_no_module_is_long_and_no_room_is_crowded() -> None:
    """A reader holds a file and a folder in the head: at most 400 lines, at most 14 modules."""
    package = ROOT / "linreg_dist"
    long = {
        str(module.relative_to(package)): lines
        for module in package.rglob("*.py")
        if (lines := len(module.read_text().splitlines())) > 400
    }
    assert not long
    crowded = {
        str(folder.relative_to(package)): modules
        for folder in [package, *(each for each in package.rglob("*") if each.is_dir())]
        if (modules := len([each for each in folder.glob("*.py") if each.name != "__init__.py"])) > 14
    }
    assert not crowded
