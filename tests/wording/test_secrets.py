"""Texts that may hold a credential, as they are shown."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linreg_dist.errors import DataError, SpecError
from linreg_dist.wording.secrets import (
    hide,
    hide_variable,
    is_secret_name,
    show_uri,
    show_uris,
    shown,
)

SCHEMES = [
    "s3",
    "gs",
    "gcs",
    "abfs",
    "abfss",
    "hdfs",
    "file",
    "http",
    "https",
    "ray",
    "mysql",
    "redis",
    "warp",
]
# URL-safe and base64 characters: half of all AWS secret keys have a slash in them.
SECRETS = st.text(st.sampled_from("abcXYZ019/+=-_.~@:%"), min_size=6, max_size=40)


@settings(deadline=None)
@given(st.sampled_from(SCHEMES), SECRETS, st.sampled_from(["", "me", "AKIA0"]))
def test_no_password_of_a_uri_is_shown(scheme: str, secret: str, user: str) -> None:
    marked = f"Zq{secret}qZ"
    for uri in (f"{scheme}://{user}:{marked}@host/p", f"{scheme}://{user}:{marked}@host:80?a=b#c"):
        for text in (
            show_uri(uri),
            shown(f"cannot open '{uri}': no"),
            show_uris(f"({uri})"),
            shown(repr(uri)),
        ):
            assert "Zq" not in text
            assert "host" in text
            assert "***@" in text


@settings(deadline=None)
@given(st.sampled_from(SCHEMES), SECRETS.filter(lambda text: "&" not in text))
@pytest.mark.parametrize(
    "name", ["access_key", "secret_key", "X-Amz-Signature", "sig", "token", "client_secret", "whatever"]
)
def test_no_value_of_an_unknown_option_is_shown(name: str, scheme: str, secret: str) -> None:
    text = shown(f"cannot open {scheme}://bucket/p?region=eu&{name}=Zq{secret}qZ for you")
    assert "Zq" not in text
    assert text == f"cannot open {scheme}://bucket/p?region=eu&{name}=*** for you"


@pytest.mark.parametrize(
    "uri",
    [
        "s3://bucket/a/b@c/x:y.parquet",
        "s3://bucket/part-?.parquet",
        "s3://bucket/x?endpoint_override=http://127.0.0.1:9000&scheme=http",
        "gs://anonymous@bucket/x",
        "abfss://container@account.dfs.core.windows.net/x",
        "hdfs://name:8020/x?user=me",
        "http://[::1]:8265",
        "file:///home/me@host:x",
        "ray://host:10001",
    ],
)
def test_a_uri_without_secrets_is_shown_as_it_is(uri: str) -> None:
    assert show_uri(uri) == uri
    assert shown(f"{uri}: there") == f"{uri}: there"


def test_a_uri_that_was_cut_before_its_host_shows_nothing_of_the_password() -> None:
    assert shown('found "s3://AKIA:wJalr/S3cr…"') == 'found "s3://***"'


@pytest.mark.parametrize(
    "name",
    ["AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "TOKEN", "hf_token", "DB_PASSWORD", "dbPassword", "apiKey",
     "API_KEY", "PASSWD", "AZURE_CREDENTIALS", "client-secret", "PASSPHRASE", "AZURE_SAS", "DB_PASS"],
)  # fmt: skip
def test_names_of_secrets_are_known(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    ["PATH", "PWD", "HOME", "AWS_REGION", "KEYBOARD_LAYOUT", "TOKENIZERS_PARALLELISM",
     "SSH_KEY_FILE", "GOOGLE_APPLICATION_CREDENTIALS", "RAY_AUTH_TOKEN_PATH", "MONKEY",
     "AWS_SHARED_CREDENTIALS_FILE"],
)  # fmt: skip
def test_names_that_hold_no_secret_are_left_alone(name: str) -> None:
    assert not is_secret_name(name)


def test_a_hidden_value_is_shown_as_it_was_written_also_quoted_and_within_a_text() -> None:
    hide_variable("TEST_TOKEN_1", "hu/sh 17")
    for text in ("is hu/sh 17.", "xhu/sh 17x", "is hu/sh%2017", "is hu%2Fsh%2017"):
        assert "sh" not in shown(text)
        assert "${TEST_TOKEN_1}" in shown(text)


def test_an_ordinary_word_is_hidden_only_where_its_variable_is_a_secret() -> None:
    hide_variable("TEST_FOLDER", "dataq")
    assert shown("dataq.path") == "dataq.path"
    hide_variable("TEST_PLACE", "a-long-place")
    assert shown("in a-long-place, not a-long-places") == "in ${TEST_PLACE}, not a-long-places"


def test_the_longest_hidden_value_comes_first() -> None:
    hide("/srv/data-k17/all", "/srv/data-${TEST_K}/all")
    hide("data-k17", "data-${TEST_K}")
    assert shown("/srv/data-k17/all/x and data-k17") == "/srv/data-${TEST_K}/all/x and data-${TEST_K}"


@settings(deadline=None)
@given(st.text())
def test_what_may_be_shown_stays_as_it_is(text: str) -> None:
    assert shown(shown(text)) == shown(text)


@pytest.mark.parametrize("kind", [SpecError, DataError])
def test_every_error_of_ours_is_safe_when_it_is_made(kind: type[Exception]) -> None:
    error = kind("cannot read s3://K:hush@b/x \x1b[2J\nsecond line")
    assert str(error) == "cannot read s3://***@b/x \\x1b[2J\nsecond line"
