"""pyarrow's file system for a URI, with time-outs and retries that have a bound; made once for each store.

Credentials come from the usual chain (environment, ``~/.aws``, the machine's role) on whichever machine asks,
and never from the URI, which ends up in files and messages.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

import pyarrow as pa
from pyarrow import fs

from linreg_dist.errors import SpecError
from linreg_dist.jobspec import SCHEMES, is_uri, split_query, uri_fault
from linreg_dist.storage.answer import answered
from linreg_dist.wording.secrets import show_uri, shown

_CONNECT_TIMEOUT_S = 5.0
_SILENCE_S = 10.0  # without a byte, after which a request counts as failed
_ATTEMPTS = 3  # of the AWS SDK, with its own growing waits; `retry` goes on above it


def open_filesystem(uri: str) -> tuple[fs.FileSystem, str]:
    """Return pyarrow's file system for a local path or a URI, and the path inside it.

    The path of an ``s3://`` URI is taken as it stands, as the AWS tools do: ``%20`` is no blank there.

    Raises:
        ValueError: the scheme is unknown, or the URI malformed; the message does not repeat the URI.
        SpecError: the URI holds what it must not, such as credentials; see `uri_fault`.

    """
    if not is_uri(uri):
        return fs.LocalFileSystem(), uri
    check_uri(uri)
    scheme = uri.partition("://")[0]
    if scheme not in SCHEMES:
        raise ValueError(f"the scheme {scheme!r} is unknown; expected one of {', '.join(SCHEMES)}")
    try:
        if uri.startswith("s3://"):
            return _open_s3(uri)
        filesystem, path = _open(uri)
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(shown(error)) from error  # pyarrow repeats the URI
    return filesystem, str(path)


def _open(uri: str) -> tuple[fs.FileSystem, str]:
    """Open another store than S3, which some do by asking it."""
    from linreg_dist.storage.retry import patience_s

    found: tuple[fs.FileSystem, str] = answered(lambda: fs.FileSystem.from_uri(uri), uri, patience_s())
    return found


def check_uri(uri: str) -> None:
    """Refuse a URI that holds what it must not.

    Raises:
        SpecError: says what, without the URI's values.

    """
    fault = uri_fault(uri)
    if fault is not None:
        raise SpecError(f"{show_uri(uri)}: {fault}")


def _open_s3(uri: str) -> tuple[fs.FileSystem, str]:
    base, query = split_query(uri)
    path = base.removeprefix("s3://").rstrip("/")
    bucket = path.partition("/")[0]
    if not bucket:
        raise ValueError("it names no bucket; expected s3://bucket/path")
    options = dict(parse_qsl(query.removeprefix("?"), keep_blank_values=True))
    environment = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    return _s3_filesystem(bucket, tuple(options.items()), tuple(sorted(environment.items()))), path


@lru_cache(maxsize=32)
def _s3_filesystem(
    bucket: str, given: tuple[tuple[str, str], ...], environment: tuple[tuple[str, str], ...]
) -> fs.S3FileSystem:
    """Make the file system; ``environment`` tells when what it was made from has changed."""
    options: dict[str, Any] = dict(given)
    if "force_virtual_addressing" in options:
        options["force_virtual_addressing"] = options["force_virtual_addressing"].lower() == "true"
    variables = dict(environment)
    # pyarrow reads these two for URIs that it opens itself, and not here.
    endpoint = variables.get("AWS_ENDPOINT_URL_S3") or variables.get("AWS_ENDPOINT_URL")
    if endpoint and "endpoint_override" not in options:
        options["endpoint_override"] = endpoint
    if "region" not in options and "endpoint_override" not in options and not _has_region(variables):
        options["region"] = _region_of(bucket)
    return fs.S3FileSystem(
        **options,
        connect_timeout=_CONNECT_TIMEOUT_S,
        request_timeout=_SILENCE_S,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=_ATTEMPTS),
        # A small file is then one PUT, which a reader sees whole or not at all, and not a multipart upload.
        allow_delayed_open=True,
    )


def s3_address(uri: str) -> tuple[str, str]:
    """Return the endpoint, as a URL, and the region of an ``s3://`` URI for libraries other than pyarrow.

    Either is empty where AWS or the usual environment says it.
    """
    given = dict(parse_qsl(split_query(uri)[1].removeprefix("?"), keep_blank_values=True))
    endpoint = given.get("endpoint_override") or os.environ.get("AWS_ENDPOINT_URL_S3")
    endpoint = endpoint or os.environ.get("AWS_ENDPOINT_URL", "")
    if endpoint and "://" not in endpoint:
        endpoint = f"{given.get('scheme', 'https')}://{endpoint}"
    return endpoint, given.get("region", "")


def _has_region(variables: Mapping[str, str]) -> bool:
    return bool(variables.get("AWS_REGION") or variables.get("AWS_DEFAULT_REGION"))


def _region_of(bucket: str) -> str | None:
    try:
        region: str = fs.resolve_s3_region(bucket)
    except OSError:  # whoever uses the file system gets the error, with what it was used for
        return None
    return region
