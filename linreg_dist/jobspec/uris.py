"""The allow-list of what a URI of data or of a run may hold, for each scheme that pyarrow opens.

A URI is written to files and messages, so it must not hold a secret. Nobody can list every form of one; so
what is not known to be harmless is refused. Sources: pyarrow.fs.FileSystem.from_uri, and FromUri of
S3Options, GcsOptions, AzureOptions and HdfsOptions in Arrow's C++ documentation.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from linreg_dist.wording.secrets import QUERY

URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")

URI_ADVICE = (
    "expected none: a path is written to files and messages. Credentials come from the usual chain "
    "(AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, the machine's role; for workers through "
    "cluster.env)"
)

_BUCKET = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_HOST = r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]+)?"
_WORD = re.compile(r"[A-Za-z0-9._-]+")
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_SWITCH = re.compile(r"true|false|True|False|0|1")
_FILE = re.compile(r"[^:@]*")
_ENDPOINT = re.compile(rf"(?:https?://)?{_HOST}(?:/[A-Za-z0-9._/-]*)?")
_PROTOCOL = re.compile(r"https?")


@dataclass(frozen=True)
class Scheme:
    """The parts of a URI between ``://`` and the path, and after the question mark.

    Attributes:
        authority: its pattern; without a password in any scheme.
        shape: the same in words, as it should be written.
        options: the pattern of each option's value.

    """

    authority: re.Pattern[str]
    shape: str
    options: Mapping[str, re.Pattern[str]] = field(default_factory=dict)


_S3 = Scheme(
    re.compile(_BUCKET),
    "s3://bucket/path",
    {
        "region": _WORD,
        "scheme": _PROTOCOL,
        "endpoint_override": _ENDPOINT,
        "force_virtual_addressing": _SWITCH,
        "tls_ca_file_path": _FILE,
    },
)
_GCS = Scheme(
    re.compile(rf"(?:anonymous@)?{_BUCKET}"),
    "gs://bucket/path",
    {
        "scheme": _PROTOCOL,
        "endpoint_override": _ENDPOINT,
        "retry_limit_seconds": _NUMBER,
        "project_id": _WORD,
        "location": _WORD,
    },
)
_AZURE = Scheme(
    re.compile(rf"(?:[a-z0-9$-]+@)?{_HOST}"),
    "abfss://container@account.dfs.core.windows.net/path",
    {
        "blob_storage_authority": _WORD,
        "dfs_storage_authority": _WORD,
        "enable_tls": _SWITCH,
        "credential_kind": re.compile("default|anonymous|workload_identity|environment|cli|managed_identity"),
        "tenant_id": _WORD,
        "client_id": _WORD,
    },
)
_HDFS = Scheme(
    re.compile(rf"(?:[A-Za-z0-9._-]+@)?(?:{_HOST})?"),
    "hdfs://host:port/path",
    {
        "user": _WORD,
        "replication": _NUMBER,
        "buffer_size": _NUMBER,
        "default_block_size": _NUMBER,
        "kerb_ticket": _FILE,
    },
)
SCHEMES: Mapping[str, Scheme] = {
    "s3": _S3,
    "gs": _GCS,
    "gcs": _GCS,
    "abfs": _AZURE,
    "abfss": _AZURE,
    "hdfs": _HDFS,
    "viewfs": _HDFS,
    "file": Scheme(re.compile("(?:localhost)?"), "file:///path"),
}
"""The schemes that pyarrow opens."""


def is_uri(path: str) -> bool:
    """Return whether ``path`` names a scheme (``s3://…``) rather than a local file."""
    return "://" in path


def uri_fault(uri: str) -> str | None:
    """Return why a URI is refused, in words that hold none of its values; None if there is no reason, or if
    its scheme is not one of `SCHEMES`, which whoever opens it says.
    """
    if not is_uri(uri):
        return None
    name, _, rest = uri.partition("://")
    base, query = split_query(rest)
    authority = base.partition("/")[0]
    scheme = SCHEMES.get(name)
    if scheme is None:
        if "@" in base or set(":%") & set(re.sub(r":[0-9]+$", "", authority)) or query:
            return f"found a URI with credentials in it, {URI_ADVICE}"
        return None
    if not scheme.authority.fullmatch(authority):
        if set(":@%") & set(authority):
            return f"found a URI with credentials in it, {URI_ADVICE}"
        return f"found a URI whose part after {name}:// is no {_what(name)}, expected {scheme.shape}"
    if not all("=" in part for part in query.removeprefix("?").split("&") if query):
        return "found a URI with an option without a value after the question mark, expected name=value"
    for option, value in parse_qsl(query.removeprefix("?"), keep_blank_values=True):
        pattern = scheme.options.get(option)
        if pattern is None:
            known = ", ".join(scheme.options) or "none"
            unknown = repr(option) if re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,39}", option) else "that"
            return (
                f"found a URI with the unknown option {unknown} after the question mark, expected one of "
                f"{known}"
            )
        if not pattern.fullmatch(value):
            if "@" in value:
                return f"found a URI with credentials in its option {option}, {URI_ADVICE}"
            return f"found a URI whose option {option} has a value of another form than it takes"
    return None


def split_query(uri: str) -> tuple[str, str]:
    """Return a URI without its query, and the query with its question mark, or an empty text."""
    found = QUERY.search(uri)
    return (uri, "") if found is None else (uri[: found.start()], uri[found.start() :])


def _what(scheme: str) -> str:
    return {"s3": "bucket", "gs": "bucket", "gcs": "bucket", "file": "slash"}.get(scheme, "host")
