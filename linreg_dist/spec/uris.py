"""What can be said of a URI without opening it."""

from __future__ import annotations

import re
from urllib.parse import unquote

URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")

URI_ADVICE = (
    "expected none: a path is written to files and messages. Credentials come from the usual chain "
    "(AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, the machine's role; for workers through "
    "cluster.env)"
)


def is_uri(path: str) -> bool:
    """Return whether ``path`` names a scheme (``s3://…``) rather than a local file."""
    return "://" in path


def has_credentials(uri: str) -> bool:
    """Return whether a URI, or the endpoint in its query, holds a key or a password."""
    if not is_uri(uri):
        return False
    scheme, _, rest = uri.partition("://")
    user, at, _ = rest.partition("/")[0].partition("?")[0].rpartition("@")
    # A user alone is no secret, and `gs://anonymous@bucket` is how pyarrow is told to ask for none.
    if at and (scheme == "s3" or ":" in user):
        return True
    query = rest.partition("?")[2]
    return any("@" in unquote(value) for value in query.split("&") if value.startswith("endpoint_override="))
