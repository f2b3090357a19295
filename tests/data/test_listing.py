"""Which entries of a folder are its data: every file once, and nothing that looks like data in silence."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import fs

from linreg_dist.data.source.files import FoundFiles, find_files
from linreg_dist.data.source.listing import is_hidden
from linreg_dist.data.source.manifest import Manifest, read_manifest
from linreg_dist.errors import DataError
from tests.parquet import write_parquet


def rows(value: float) -> dict[str, object]:
    return {"x": [value, value + 1.0], "y": [0.0, 1.0]}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for day in (1, 2):
        write_parquet(tmp_path / "d" / f"2024-01-0{day}" / "p.parquet", rows(day))
    return tmp_path / "d"


def told(found: FoundFiles | Manifest, root: Path) -> dict[str, str]:
    return {os.path.relpath(item.path, root): item.reason for item in found.skipped}


def keys(root: Path | str) -> list[str]:
    return [file.key for file in find_files([str(root)]).files]


def link_latest(tree: Path) -> None:
    (tree / "latest").symlink_to("2024-01-02")


def link_before(tree: Path) -> None:
    (tree / "0-latest").symlink_to(tree / "2024-01-02")


def link_a_parent(tree: Path) -> None:
    (tree / "2024-01-01" / "up").symlink_to("..")


def link_itself(tree: Path) -> None:
    (tree / "loop").symlink_to(".")


def link_two_ways(tree: Path) -> None:
    (tree / "2024-01-01" / "a").symlink_to("../2024-01-02")
    (tree / "2024-01-02" / "b").symlink_to("../2024-01-01")


def link_a_file(tree: Path) -> None:
    (tree / "2024-01-01" / "again.parquet").symlink_to("p.parquet")


def link_a_file_first(tree: Path) -> None:
    (tree / "2024-01-01" / "0.parquet").symlink_to("../2024-01-02/p.parquet")


def link_hard(tree: Path) -> None:
    os.link(tree / "2024-01-01" / "p.parquet", tree / "2024-01-02" / "q.parquet")


def link_a_link(tree: Path) -> None:
    (tree / "one").symlink_to("two")
    (tree / "two").symlink_to("2024-01-01")


LINKS = [
    link_latest,
    link_before,
    link_a_parent,
    link_itself,
    link_two_ways,
    link_a_file,
    link_a_file_first,
    link_hard,
    link_a_link,
]


@pytest.mark.parametrize("link", LINKS, ids=lambda link: link.__name__)
def test_a_file_is_read_once_whatever_leads_to_it(tree: Path, link: Callable[[Path], None]) -> None:
    before = keys(tree)
    link(tree)
    manifest = read_manifest([str(tree)])
    assert manifest.num_rows == 4
    if link is not link_hard:
        assert [file.key for file in manifest.files] == before, "the real names stay"
    assert told(manifest, tree), "and what is not read is named"


def test_a_link_to_data_elsewhere_is_data(tree: Path, tmp_path: Path) -> None:
    write_parquet(tmp_path / "elsewhere" / "q.parquet", rows(9))
    (tree / "more").symlink_to(tmp_path / "elsewhere")
    (tree / "one.parquet").symlink_to(tmp_path / "elsewhere" / "q.parquet")
    found = find_files([str(tree)])
    assert len(found.files) == 3
    assert list(told(found, tree)) == ["one.parquet"]


def test_the_folder_itself_may_be_a_link(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "name").symlink_to(tree)
    assert keys(tmp_path / "name") == keys(tree)
    with pytest.raises(DataError, match=r"is named 2 times by data\.path"):
        find_files([str(tree), str(tmp_path / "name")])


def test_a_glob_finds_what_it_names_by_a_link(tree: Path) -> None:
    link_latest(tree)
    link_itself(tree)
    assert keys(tree / "l*" / "*.parquet") == ["latest/p.parquet"]
    assert keys(tree / "**" / "*.parquet") == keys(tree)


@pytest.mark.parametrize("how", ["symlink", "hard link"])
@pytest.mark.parametrize("as_folder", [False, True])
def test_one_file_under_two_names_is_refused_by_both(tmp_path: Path, how: str, as_folder: bool) -> None:
    first, second = write_parquet(tmp_path / "a" / "a.parquet", rows(1)), tmp_path / "b" / "b.parquet"
    second.parent.mkdir()
    second.symlink_to(first) if how == "symlink" else os.link(first, second)
    paths = [str(path.parent if as_folder else path) for path in (first, second)]
    with pytest.raises(DataError, match=r"a\.parquet \(also called .*b\.parquet\) is named 2 times"):
        read_manifest(paths)
    with pytest.raises(DataError, match=r"b\.parquet \(also called .*a\.parquet\) is in both"):
        read_manifest(paths[:1], paths[1:])


def broken_link(folder: Path) -> None:
    (folder / "gone.parquet").symlink_to("nowhere")


def link_to_itself(folder: Path) -> None:
    (folder / "self.parquet").symlink_to("self.parquet")


def pipe(folder: Path) -> None:
    os.mkfifo(folder / "pipe.parquet")


def no_suffix(folder: Path) -> None:
    write_parquet(folder / "part-0", rows(5))


BAD = {
    broken_link: "a broken link to nowhere",
    link_to_itself: "a broken link to self.parquet",
    pipe: "neither a file nor a folder",
    no_suffix: "Parquet by its first bytes, without a suffix",
}


@pytest.mark.parametrize("spoil", BAD, ids=lambda spoil: spoil.__name__)
def test_what_looks_like_data_and_cannot_be_read_is_an_error_or_left_out_by_name(
    tree: Path, spoil: Callable[[Path], None]
) -> None:
    spoil(tree / "2024-01-01")
    with pytest.raises(DataError, match=BAD[spoil]) as caught:
        read_manifest([str(tree)])
    assert "data.on_bad_file: skip" in str(caught.value)
    manifest = read_manifest([str(tree)], skip_bad=True)
    assert manifest.num_rows == 4
    (reason,) = told(manifest, tree).values()
    assert BAD[spoil] in reason


def test_all_bad_entries_are_named_at_once_up_to_ten(tree: Path) -> None:
    for number in range(12):
        (tree / f"{number:02}.parquet").symlink_to("nowhere")
    with pytest.raises(DataError) as caught:
        find_files([str(tree)])
    assert str(caught.value).count("a broken link") == 10
    assert "12 entries" in str(caught.value)
    assert "and 2 more" in str(caught.value)


@pytest.mark.parametrize("name", ["x", "x.txt"])
def test_a_broken_link_that_may_have_been_a_folder_is_told(tree: Path, name: str) -> None:
    (tree / name).symlink_to("nowhere")
    assert list(told(find_files([str(tree)]), tree)) == ([name] if name == "x" else [])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_cannot_be_listed_is_named(tree: Path) -> None:
    (tree / "2024-01-02").chmod(0)
    try:
        with pytest.raises(DataError, match="the folder cannot be listed: Permission denied"):
            find_files([str(tree)])
    finally:
        (tree / "2024-01-02").chmod(0o700)


@pytest.mark.parametrize(
    ("name", "is_read", "is_told"),
    [
        ("_k=1/p.parquet", True, False),
        ("_temporary/0/p.parquet", False, True),
        ("_p.parquet", False, True),
        (".p.parquet", False, True),
        (".ipynb_checkpoints/p.parquet", False, True),
        ("_SUCCESS", False, False),
        ("_metadata", False, False),
        ("_notes/readme.txt", False, False),
        (".p.parquet.crc", False, False),
        ("p.parquet.bak", False, True),
        ("notes.txt", False, False),
    ],
)
def test_hidden_and_other_entries_follow_sparks_rule_and_data_among_them_is_told(
    tree: Path, name: str, is_read: bool, is_told: bool
) -> None:
    if name.endswith((".txt", "_SUCCESS", ".crc")):
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).write_text("words")
    else:
        write_parquet(tree / name, rows(7))
    found = find_files([str(tree)])
    assert (name in [file.key for file in found.files]) == is_read
    assert bool(told(found, tree)) == is_told
    if is_read:
        assert "_k" in found.types


def test_files_without_any_suffix_are_data_where_no_file_has_one(tmp_path: Path) -> None:
    for number in range(2):
        write_parquet(tmp_path / f"00000{number}_0", rows(number))
    (tmp_path / "README").write_text("not data, and long enough to be looked at")
    assert keys(tmp_path) == ["000000_0", "000001_0"]


def test_a_file_of_no_bytes_is_an_error(tree: Path) -> None:
    (tree / "empty.parquet").touch()
    with pytest.raises(DataError, match=r"empty\.parquet cannot be read as Parquet"):
        read_manifest([str(tree)])
    manifest = read_manifest([str(tree)], skip_bad=True)
    assert manifest.num_rows == 4
    assert list(told(manifest, tree)) == ["empty.parquet"]


def test_a_store_follows_the_same_rule_of_hidden_entries(tree: Path) -> None:
    """Through a file system that is not taken for a local one, as an object store's is not."""
    for name in ("_temporary/0/a.parquet", "_temporary/0/b.parquet", "_k=2/p.parquet", ".x.parquet", "plain"):
        write_parquet(tree / name, rows(3))
    from linreg_dist.data.source.listing import list_folder

    store = fs.SubTreeFileSystem(str(tree), fs.LocalFileSystem())
    listing = list_folder(store, "", "store://x", None)
    assert [entry.key for entry in listing.files] == [
        "2024-01-01/p.parquet",
        "2024-01-02/p.parquet",
        "_k=2/p.parquet",
    ]
    assert sorted(item.path for item in listing.skipped) == [".x.parquet", "_temporary"]
    assert [item.path for item in listing.bad] == ["plain"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.booleans()), max_size=12), st.randoms())
def test_any_web_of_links_ends_and_reads_every_file_once(
    tmp_path_factory: pytest.TempPathFactory, links: list[tuple[int, int, bool]], random: object
) -> None:
    root = tmp_path_factory.mktemp("web")
    for number in range(5):
        (root / f"f{number}").mkdir()
        (root / f"f{number}" / f"p{number}.parquet").write_bytes(b"PAR1")
    for place, (inside, to, is_file) in enumerate(links):
        target = root / f"f{to}" / f"p{to}.parquet" if is_file else root / f"f{to}"
        (root / f"f{inside}" / (f"l{place}.parquet" if is_file else f"l{place}")).symlink_to(target)
    for path in (root, root / "**"):
        found = find_files([str(path)])
        assert [file.key for file in found.files] == [f"f{n}/p{n}.parquet" for n in range(5)] or str(
            path
        ).endswith("**")
        assert len({file.identity for file in found.files}) == len(found.files) == 5


@pytest.mark.parametrize(
    ("key", "hidden"),
    [("a.parquet", False), ("_a.parquet", True), ("_k=v/a.parquet", False), ("_k/a.parquet", True),
     (".k=v/a.parquet", True), ("a/.b/c.parquet", True), ("a/_b=/c.parquet", False)],
)  # fmt: skip
def test_the_rule_of_hidden_entries(key: str, hidden: bool) -> None:
    assert is_hidden(key) is hidden


def test_the_result_and_the_console_name_what_was_not_read(
    tree: Path, train_here: Callable[..., object], caplog: pytest.LogCaptureFixture
) -> None:
    link_latest(tree)
    rng = np.random.default_rng(0)
    for name in ("q.parquet", "r.parquet"):
        write_parquet(tree / name, {"x": rng.normal(size=30), "y": rng.normal(size=30)})
    run = train_here(tree)
    (skipped,) = run.result["data"]["skipped_files"]  # type: ignore[attr-defined]
    assert skipped["path"] == str(tree / "latest")
    assert "a link to 2024-01-02" in skipped["reason"]
    assert f"not read: {tree / 'latest'}: a link to 2024-01-02" in caplog.text
