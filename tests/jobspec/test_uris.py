"""The allow-list of URIs, over schemes and forms of secrets."""

from __future__ import annotations

import itertools

import pytest
from pyarrow import fs

from linreg_dist.errors import SpecError
from linreg_dist.jobspec import SCHEMES, load_spec, uri_fault
from linreg_dist.storage import as_location, open_filesystem

GOOD = [
    "s3://bucket", "s3://bucket/a/b@c:d?.parquet", "s3://my.bucket-1/x/*.parquet?region=eu-central-1&scheme=https",
    "s3://b/x?endpoint_override=http%3A%2F%2F127.0.0.1%3A9000", "s3://b/x?endpoint_override=[::1]:9000",
    "s3://b/x?force_virtual_addressing=true&tls_ca_file_path=/etc/ca.pem", "gs://bucket/x", "gs://anonymous@bucket/x",
    "gs://b/x?retry_limit_seconds=3&project_id=p-1", "abfs://container@account.dfs.core.windows.net/x",
    "abfss://account.blob.core.windows.net/container/x?credential_kind=environment", "hdfs://name:8020/x?user=me",
    "hdfs:///x", "hdfs://user@host/x", "viewfs://cluster/x", "file:///x/y@z:1", "file://localhost/x",
    "/home/me@host:x",
]  # fmt: skip
HUSH = "wJalr/S3cr3tXYZ+bPx=R"
FORMS = {
    "user and password": "{scheme}://AKIA0:{secret}@bucket/p",
    "password": "{scheme}://:{secret}@bucket/p",
    "quoted": "{scheme}://AKIA0%3AS3cr3tXYZ%40bucket/p",
    "quoted colon": "{scheme}://AKIA0%3AS3cr3tXYZ@bucket/p",
    "password and port": "{scheme}://me:{secret}@host:80/p",
    "cut": "{scheme}://AKIA0:S3cr3tXYZ",
    "unknown option": "{scheme}://bucket/p?secret_key={secret}",
    "signed": "{scheme}://bucket/p?X-Amz-Credential=A&X-Amz-Signature={secret}",
    "shared access": "{scheme}://bucket/p?sv=2022&sig={secret}",
    "client": "{scheme}://bucket/p?tenant_id=a&client_secret={secret}",
    "second option": "{scheme}://bucket/p?scheme=http&access_key={secret}",
    "endpoint": "{scheme}://bucket/p?endpoint_override=http://u:{secret}@host",
    "quoted endpoint": "{scheme}://bucket/p?endpoint_override=http%3A%2F%2Fu%3AS3cr3tXYZ%40host",
    "no value": "{scheme}://bucket/p?region=eu&S3cr3tXYZ",
}


@pytest.mark.parametrize("uri", GOOD)
def test_what_pyarrow_knows_is_allowed(uri: str) -> None:
    assert uri_fault(uri) is None


@pytest.mark.parametrize(("scheme", "form"), [*itertools.product([*SCHEMES, "https", "warp"], FORMS)])
def test_no_form_of_a_secret_is_allowed_in_any_scheme_or_repeated(scheme: str, form: str) -> None:
    uri = FORMS[form].format(scheme=scheme, secret=HUSH)
    fault = uri_fault(uri)
    assert fault is not None
    assert "S3cr3t" not in fault
    with pytest.raises(SpecError) as refused:
        open_filesystem(uri)
    assert "S3cr3t" not in str(refused.value)
    with pytest.raises(SpecError) as refused:
        as_location(uri)
    assert "S3cr3t" not in str(refused.value)


@pytest.mark.parametrize("field", ["data.path", "run.storage_path", "data.validation.path"])
@pytest.mark.parametrize("form", FORMS)
def test_a_spec_is_refused_by_the_fields_name(field: str, form: str) -> None:
    validation = {"method": "path", "path": "/v"}
    uri = FORMS[form].format(scheme="s3", secret=HUSH)
    with pytest.raises(SpecError) as refused:
        load_spec({"data": {"path": "/d", "target": "y", "validation": validation}}, {field: uri})
    assert str(refused.value).endswith(f"@ {field}")
    assert "S3cr3t" not in str(refused.value)


def test_an_unknown_option_is_named() -> None:
    assert "unknown option 'acces_key'" in str(uri_fault("s3://b/x?acces_key=1"))


@pytest.mark.parametrize("uri", ["s3://buck et/x", "s3:///x", "gs:///x", "file://host/x", "s3://*/x"])
def test_what_is_no_bucket_is_refused_in_words(uri: str) -> None:
    assert "expected " in str(uri_fault(uri))


@pytest.mark.parametrize("uri", ["file:///tmp", "gs://anonymous@b/x?scheme=http&retry_limit_seconds=3"])
def test_pyarrow_reads_the_allowed_forms_too(uri: str) -> None:
    assert fs.FileSystem.from_uri(uri)[1]
