"""Keys and passwords stay in the environment: no file, message or process of a run shows them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import linreg_dist as lr
from linreg_dist.cli.main import run as run_cli
from tests.parts import write_parts
from tests.storage.conftest import KEY_ID, SECRET, Store
from tests.storage.s3_proxy import Fault
from tests.storage.test_runs import SGD, spec_of


@pytest.mark.parametrize("fails", [False, True])
def test_no_file_and_no_output_of_a_run_has_a_secret(
    tmp_path: Path,
    store: Store,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    fails: bool,
) -> None:
    monkeypatch.setenv("LINREG_DIST_STORAGE_RETRY_S", "1")
    monkeypatch.chdir(tmp_path)
    write_parts(tmp_path / "data", [600])
    data = store.upload(tmp_path / "data", "data")
    spec = spec_of(data, f"{store.uri}/runs", solver=SGD)
    spec["cluster"] = {
        "env": {name: f"${{{name}}}" for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    }
    (tmp_path / "job.yaml").write_text(json.dumps(spec))
    fault = Fault("PUT .*/model/" if fails else "nothing", status=403, code="SignatureDoesNotMatch")
    with store.proxy.fault(fault):
        code = run_cli(["train", str(tmp_path / "job.yaml"), "-v", "--json"])
    assert code == (2 if fails else 0)
    out, err = capfd.readouterr()
    files = {key: store.read(key) for key in store.list_keys()}
    files |= {str(path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert any(key.endswith("job.yaml") for key in files)
    everything = [out.encode(), err.encode(), caplog.text.encode(), *files.values()]
    for secret in (KEY_ID, SECRET):
        assert not any(secret.encode() in content for content in everything)


@pytest.mark.parametrize("field", ["data.path", "run.storage_path", "data.validation.path"])
@pytest.mark.parametrize("written", ["file", "variable"])
def test_a_uri_with_credentials_is_refused_without_being_shown(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    field: str,
    written: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WHERE", "s3://AKIA:hush-hush@lab/x")
    value = "${WHERE}" if written == "variable" else "s3://AKIA:hush-hush@lab/x"
    (tmp_path / "job.yaml").write_text(
        "data: {path: d, target: y, validation: {method: path, path: v}}\nrun: {storage_path: runs}\n"
    )
    code = run_cli(["train", "job.yaml", "--set", f"{field}={value}", "--json"])
    out, err = capfd.readouterr()
    assert code == 2
    assert "found a URI with credentials in it" in err
    assert f"@ {field}" in err
    assert "hush" not in out + err


def test_verbs_refuse_uris_with_credentials_without_showing_them(
    capfd: pytest.CaptureFixture[str], store: Store
) -> None:
    for arguments in (
        ["inspect", "s3://AKIA:hush-hush@lab/x"],
        ["show", "s3://AKIA:hush-hush@lab/x"],
        ["stats", "solve", "s3://AKIA:hush-hush@lab/x"],
        ["predict", "s3://AKIA:hush-hush@lab/x", "--data", "d", "--output", "o"],
    ):
        assert run_cli(arguments) == 2
        out, err = capfd.readouterr()
        assert "credentials" in err
        assert "hush" not in out + err


def test_the_error_of_a_bad_option_does_not_repeat_its_value(store: Store) -> None:
    with pytest.raises(lr.SpecError, match="unknown option 'secret_key'") as caught:
        lr.train(spec_of(f"{store.uri}/data?secret_key=hush-hush", f"{store.uri}/runs"))
    assert "hush" not in str(caught.value)
