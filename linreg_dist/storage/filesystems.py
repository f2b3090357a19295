"""pyarrow's file system for a URI, with time-outs and retries that have a bound; made once for each store.

Credentials come from the usual chain (environment, ``~/.aws``, the machine's role) on whichever machine asks,
and never from the URI, which ends up in files and messages.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

import pyarrow as pa
from pyarrow import fs

from linreg_dist.errors import SpecError
from linreg_dist.spec import URI_ADVICE, has_credentials, is_uri

_CONNECT_TIMEOUT_S = 5.0
_SILENCE_S = 10.0  # without a byte, after which a request counts as failed
_ATTEMPTS = 3  # of the AWS SDK, with its own growing waits; `retry` goes on above it
_S3_OPTIONS = ("region", "scheme", "endpoint_override", "force_virtual_addressing", "tls_ca_file_path")
# A `?` in a key or a glob begins no query unless an option follows.
_QUERY = re.compile(r"\?(?=[a-z_]+=)")


def open_filesystem(uri: str) -> tuple[fs.FileSystem, str]:
    """Return pyarrow's file system for a local path or a URI, and the path inside it.

    The path of an ``s3://`` URI is taken as it stands, as the AWS tools do: ``%20`` is no blank there.

    Raises:
        ValueError: the scheme is unknown, or the URI malformed; the message does not repeat the URI.
        SpecError: the URI holds credentials.

    """
    if not is_uri(uri):
        return fs.LocalFileSystem(), uri
    if has_credentials(uri):
        raise SpecError(f"{without_credentials(uri)} was given with credentials in it; {URI_ADVICE}")
    try:
        if uri.startswith("s3://"):
            return _open_s3(uri)
        filesystem, path = fs.FileSystem.from_uri(uri)
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(str(error)) from error
    return filesystem, str(path)


def split_query(uri: str) -> tuple[str, str]:
    """Return a URI without its query, and the query with its question mark, or an empty text."""
    found = _QUERY.search(uri)
    return (uri, "") if found is None else (uri[: found.start()], uri[found.start() :])


def without_credentials(uri: str) -> str:
    """Return a URI as it may be shown."""
    base, query = split_query(uri)
    scheme, _, rest = base.partition("://")
    authority, slash, path = rest.partition("/")
    return f"{scheme}://{authority.rpartition('@')[2]}{slash}{path}{'?…' if query else ''}"


def _open_s3(uri: str) -> tuple[fs.FileSystem, str]:
    base, query = split_query(uri)
    path = base.removeprefix("s3://").rstrip("/")
    bucket = path.partition("/")[0]
    if not bucket:
        raise ValueError("it names no bucket; expected s3://bucket/path")
    options = dict(parse_qsl(query.removeprefix("?"), keep_blank_values=True))
    unknown = [name for name in options if name not in _S3_OPTIONS]
    if unknown:
        raise ValueError(
            f"unknown option {unknown[0]!r} after the question mark; expected {', '.join(_S3_OPTIONS)}"
        )
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


def _has_region(variables: Mapping[str, str]) -> bool:
    return bool(variables.get("AWS_REGION") or variables.get("AWS_DEFAULT_REGION"))


def _region_of(bucket: str) -> str | None:
    try:
        region: str = fs.resolve_s3_region(bucket)
    except OSError:  # whoever uses the file system gets the error, with what it was used for
        return None
    return region
