"""Files of an object store, through the methods that a run's files use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pyarrow import fs

from linreg_dist.errors import SpecError
from linreg_dist.storage import (
    ObjectPath,
    as_location,
    copy_file,
    is_same_place,
    move_file,
    remove_tree,
    upload_file,
    write_whole,
)
from tests.storage.conftest import Store


@pytest.fixture
def folder(store: Store) -> ObjectPath:
    place = as_location(f"{store.uri}/runs/job")
    assert isinstance(place, ObjectPath)
    return place


def test_what_is_written_is_read(folder: ObjectPath, store: Store) -> None:
    write_whole(folder / "a.txt", "ä")
    assert (folder / "a.txt").read_text() == "ä"
    assert store.read("runs/job/a.txt") == "ä".encode()
    write_whole(folder / "a.txt", b"shorter")
    assert (folder / "a.txt").read_bytes() == b"shorter"
    assert [path.name for path in folder.iterdir()] == ["a.txt"]


def test_a_small_file_is_one_put(folder: ObjectPath, store: Store) -> None:
    write_whole(folder / "a.txt", "one")
    assert store.proxy.count(r"^PUT /lab/runs/job/a\.txt$") == 1
    assert store.proxy.count("uploads") == 0


def test_what_is_not_there(folder: ObjectPath) -> None:
    assert not folder.exists()
    assert not (folder / "a").is_file()
    assert list(folder.iterdir()) == []
    assert (folder / "a").version() is None
    with pytest.raises(FileNotFoundError):
        (folder / "a").read_bytes()
    with pytest.raises(FileNotFoundError):
        (folder / "a").unlink()
    (folder / "a").unlink(missing_ok=True)
    remove_tree(folder)


def test_folders_are_what_names_have_in_common(folder: ObjectPath) -> None:
    for name in ("a/x", "a/y", "b"):
        write_whole(folder / name, name)
    assert folder.is_dir()
    assert (folder / "a").is_dir()
    assert not (folder / "a").is_file()
    assert [path.name for path in folder.iterdir()] == ["a", "b"]
    assert str((folder / "a" / "x").parent) == str(folder / "a")
    remove_tree(folder / "a")
    assert [path.name for path in folder.iterdir()] == ["b"]
    (folder / "b").unlink()
    assert not (folder / "b").exists()


def test_one_request_tells_when_each_file_of_a_folder_was_written(folder: ObjectPath, store: Store) -> None:
    assert folder.files_written_ns() == {}
    for name in ("a", "b", "c/x"):
        write_whole(folder / name, name)
    requests = store.proxy.count("")
    written_ns = folder.files_written_ns()
    assert store.proxy.count("") == requests + 1
    assert set(written_ns) == {"a", "b"}
    assert (folder / "a").version() == (written_ns["a"], 1)


def test_copies_moves_and_uploads(folder: ObjectPath, tmp_path: Path) -> None:
    write_whole(folder / "a", "content")
    copy_file(folder / "a", folder / "b")
    move_file(folder / "a", folder / "c")
    assert not (folder / "a").exists()
    assert (folder / "b").read_text() == (folder / "c").read_text() == "content"
    large = bytes(range(256)) * (25 << 12)  # 25 MiB: more than one part
    (tmp_path / "large").write_bytes(large)
    upload_file(tmp_path / "large", folder / "large")
    assert (folder / "large").read_bytes() == large


@pytest.mark.parametrize("name", ["a b", "50%", "a%20b", "month=1", "grün", "a+b", "q?"])
def test_names_are_taken_as_they_stand(folder: ObjectPath, store: Store, name: str) -> None:
    write_whole(folder / name / "x", name)
    assert store.list_keys("runs/job") == {f"{name}/x"}
    assert [path.name for path in (as_location(str(folder))).iterdir()] == [name]
    assert as_location(f"{folder}/{name}/x").read_bytes() == name.encode()


def test_the_endpoint_may_stand_in_the_uri(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    place = as_location(f"{store.uri}/runs?endpoint_override={store.proxy.url}&region=us-east-1")
    write_whole(place / "a" / "b", "content")
    assert store.read("runs/a/b") == b"content"
    assert str(place / "a").endswith(f"/runs/a?endpoint_override={store.proxy.url}&region=us-east-1")


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("s3://lab/x?secret_key=hush", "unknown option 'secret_key'.*expected one of region"),
        ("s3:///x", "is no bucket, expected s3://bucket/path"),
        ("s3://key:hush@lab/x", r"s3://\*\*\*@lab/x: found a URI with credentials in it"),
        ("s3://lab/x?endpoint_override=http://key:hush@host", "credentials in its option endpoint_override"),
        ("nothing://lab/x", "cannot store at nothing://lab/x"),
    ],
)
def test_uris_that_cannot_be_used(uri: str, message: str) -> None:
    with pytest.raises(SpecError, match=message) as caught:
        as_location(uri)
    assert "hush" not in str(caught.value)


def test_a_bucket_that_is_not_there_is_named(store: Store) -> None:
    with pytest.raises(SpecError, match=r"cannot write s3://nowhere/a .*bucket 'nowhere', key 'a'.*NO_SUCH"):
        write_whole(as_location("s3://nowhere/a"), "x")


def test_local_places(tmp_path: Path) -> None:
    assert as_location(f"file://{tmp_path}/a%20b") == tmp_path / "a b"
    assert as_location("runs") == Path("runs")
    assert is_same_place(tmp_path / "a" / "..", tmp_path)
    assert not is_same_place(tmp_path, ObjectPath("s3://lab/a"))
    assert is_same_place(ObjectPath("s3://lab/a"), as_location("s3://lab/a/"))


class Replacing:
    """The store's file system, in which an object grows between two requests of its first reader."""

    def __init__(self, filesystem: fs.FileSystem, grown: bytes) -> None:
        self._filesystem, self._grown = filesystem, grown
        self.reads = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._filesystem, name)

    def open_input_file(self, path: str) -> Any:
        source = self._filesystem.open_input_file(path)  # asks for the size
        self.reads += 1
        if self.reads == 1:
            with self._filesystem.open_output_stream(path) as sink:
                sink.write(self._grown)
        return source


def test_an_object_that_is_replaced_while_it_is_read_is_read_whole(
    folder: ObjectPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_whole(folder / "a", "short")
    filesystem, path = (folder / "a").filesystem
    replacing = Replacing(filesystem, b"a longer text")
    monkeypatch.setattr(ObjectPath, "filesystem", (replacing, path))
    assert (folder / "a").read_text() == "a longer text"
    assert replacing.reads == 2
