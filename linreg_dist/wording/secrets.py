"""Texts that may hold a credential, and one way to show them.

`shown` is what every message, log record and console line passes. It leaves out the user and the password of
a URI and the values of options that nobody knows, puts ``${VAR}`` back where a value of the environment was,
and escapes what is unsafe on a terminal. It may be applied twice.
"""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import quote

from linreg_dist.wording.text import safe_name, safe_text

# The options of the file systems that a URI may name; see `linreg_dist.jobspec.uris`.
SAFE_OPTIONS = frozenset(
    (
        "blob_storage_authority", "buffer_size", "client_id", "credential_kind", "default_block_size",
        "dfs_storage_authority", "enable_tls", "endpoint_override", "force_virtual_addressing", "kerb_ticket",
        "location", "project_id", "region", "replication", "retry_limit_seconds", "scheme", "tenant_id",
        "tls_ca_file_path", "user",
    )
)  # fmt: skip
MASK = "***"

# A `?` in a key or a glob begins no query unless an option follows.
QUERY = re.compile(r"\?(?=[A-Za-z][A-Za-z0-9_.-]*=)")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S*")
_HOST = r"(?:\[[0-9A-Fa-f:.]+\]|[^:@%\[\]]*)(?::[0-9]*)?"
_CLEAN_AUTHORITY = re.compile(_HOST)
_HAS_CLEAN_USER = re.compile(rf"(abfss?://[^:@%/?=+]+|gs://anonymous|gcs://anonymous)@{_HOST}")
_TRAILING = "'\")]}>,;:."

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_SECRET_WORDS = frozenset(
    (
        "key", "keys", "apikey", "secret", "secrets", "token", "tokens", "password", "passwords", "passwd",
        "passphrase", "pass", "pwd", "credential", "credentials", "sas", "signature", "sig",
    )
)  # fmt: skip
# The last word of a name that says where a secret lies, and not what it is.
_PLACES = frozenset(("file", "files", "path", "paths", "dir", "folder", "name"))
_NO_SECRETS = frozenset(("PWD", "OLDPWD", "GOOGLE_APPLICATION_CREDENTIALS"))

_SHORTEST_ANYWHERE, _SHORTEST_SECRET = 8, 4
_MOST_HIDDEN = 1000
_LAYOUT = "\n\t"  # what `safe_text` lets through
_hidden: dict[str, str] = {}


def is_secret_name(name: str) -> bool:
    """Return whether a variable or a key of this name holds a secret, by the words that it is made of."""
    words = [word.lower() for word in _WORDS.findall(name)]
    if name in _NO_SECRETS or not words or words[-1] in _PLACES:
        return False
    return any(word in _SECRET_WORDS for word in words)


def hide(value: str, template: str, *, whole: bool = True) -> None:
    """Let `shown` put `template` wherever `value` would be seen in this process.

    Args:
        value: what must not be seen; a text of less than 4 characters is too common to be replaced.
        template: how the user wrote it, such as ``${TOKEN}``.
        whole: replace it only where no letter or digit goes on with it.

    """
    for form in {value, quote(value), quote(value, safe=""), repr(value)[1:-1], safe_name(value)}:
        if len(form) >= _SHORTEST_SECRET and form != template:
            end = r"(?![A-Za-z0-9])" if whole and form[-1].isalnum() else ""
            start = r"(?<![A-Za-z0-9])" if whole and form[0].isalnum() else ""
            _hidden[f"{start}{re.escape(form)}{end}"] = template
    _finder.cache_clear()


def hide_variable(name: str, value: str) -> None:
    """Let `shown` put ``${name}`` where the value of that environment variable would be seen.

    A value that may be an ordinary word is left alone, unless the variable's name says that it is a secret.
    """
    secret = is_secret_name(name)
    if secret or len(value) >= _SHORTEST_ANYWHERE:
        hide(value, f"${{{name}}}", whole=not secret)


def show_on_one_line(path: str) -> None:
    """Let `shown` write a path that has line breaks or tabs in its name on one line, wherever it is seen.

    A file may be called anything, and must not begin a line that looks like a message of ours. To be called
    where a path comes in: an argument, a field of the spec, an entry of a folder.
    """
    has_breaks = any(character in path for character in _LAYOUT)
    if has_breaks and len(path.strip()) >= _SHORTEST_SECRET and len(_hidden) < _MOST_HIDDEN:
        _hidden[re.escape(path)] = safe_name(path)
        _finder.cache_clear()


def forget() -> None:
    """Take back all that `hide` and `show_on_one_line` were told."""
    _hidden.clear()
    _finder.cache_clear()


def with_templates(text: str) -> str:
    """Return `text` with what `hide` was told put back as it was written."""
    if not _hidden:
        return text
    finder, templates = _finder()
    return finder.sub(lambda match: templates[(match.lastindex or 1) - 1], text)


@lru_cache(maxsize=1)
def _finder() -> tuple[re.Pattern[str], list[str]]:
    patterns = sorted(_hidden, key=len, reverse=True)  # the whole path before the variable in it
    templates = [_hidden[pattern] for pattern in patterns]
    return re.compile("|".join(f"({pattern})" for pattern in patterns)), templates


def show_uri(uri: str) -> str:
    """Return a URI as it may be shown: without user and password, and without values of unknown options.

    A slash within a password does not end the search for its ``@``: half of all secret keys of AWS have one.
    """
    scheme, separator, rest = uri.partition("://")
    if not separator:
        return uri
    found = QUERY.search(rest)
    base, query = (rest, "") if found is None else (rest[: found.start()], rest[found.end() :])
    base, _, fragment = base.partition("#") if scheme.startswith("http") else (base, "", "")
    if not _has_clean_authority(f"{scheme}://{base}"):
        _, at, host = base.rpartition("@")
        base = f"{MASK}@{host}" if at else MASK  # a text that was cut may have lost the @
    options = f"?{'&'.join(map(_show_option, query.split('&')))}" if query else ""
    return f"{scheme}://{base}{options}{f'#{MASK}' if fragment else ''}"


def holds_credentials(text: str) -> bool:
    """Return whether a URI in `text` has a password, or an option that is a secret by its name."""
    for match in _URI.finditer(text):
        query = QUERY.split(match[0], maxsplit=1)[1:]
        names = [option.partition("=")[0] for part in query for option in part.split("&")]
        if not _has_clean_authority(match[0]) or any(map(is_secret_name, names)):
            return True
    return False


def show_uris(text: str) -> str:
    """Return `text` with each URI in it as `show_uri` shows it."""
    return _URI.sub(_show_match, text) if "://" in text else text


def shown(text: object) -> str:
    """Return a message as it may be shown: see the module."""
    return safe_text(show_uris(with_templates(str(text))))


def _has_clean_authority(uri: str) -> bool:
    scheme, _, rest = uri.partition("://")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0].rstrip(_TRAILING)
    return bool(_CLEAN_AUTHORITY.fullmatch(authority) or _HAS_CLEAN_USER.fullmatch(f"{scheme}://{authority}"))


def _show_match(match: re.Match[str]) -> str:
    uri = match[0].rstrip(_TRAILING)
    return show_uri(uri) + match[0][len(uri) :]


def _show_option(option: str) -> str:
    name, equals, value = option.partition("=")
    if not equals:
        return MASK
    return option if name in SAFE_OPTIONS and "@" not in value and "%40" not in value else f"{name}={MASK}"
