"""Which key of the Transit secrets engine a configuration names, and the token to use it with.

``https://vault.example:8200/transit/connector``: the address, the engine's mount, and the key's
name; after a ``?``, ``namespace=``, ``ca_file=``, ``token_file=`` or ``credential=``. Without one
of the last two the token is in ``VAULT_TOKEN``.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from connector.errors import VaultSealed
from connector.oauth.endpoint_url import check_endpoint_url, origin_of
from connector.seal_kinds import TRANSIT_TOKEN_VARIABLE, NotASeal
from connector.vault.key_file import read_private_file
from connector.vault.key_source import read_credential

_FORM: Final = 'write seal = "transit:https://vault.example:8200/transit/connector"'
_SEGMENT: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_TOKEN: Final = re.compile(r"[!-~]{1,4096}", re.ASCII)
_OPTIONS: Final = frozenset({"namespace", "ca_file", "token_file", "credential"})


@dataclass(frozen=True, slots=True, kw_only=True)
class TransitKey:
    """Which key, and how to ask for it.

    Attributes:
        origin: of the server.
        mount: where the engine is mounted.
        name: of the key.
        namespace: that both are in; empty: none.
        ca_file: PEM file of the certificate authorities to trust; None: the system's.
        token_file: that holds the token, readable by us alone; read each time, for another program
            may renew it.
        credential: systemd's, that holds the token.
    """

    origin: str
    mount: str
    name: str
    namespace: str = ""
    ca_file: Path | None = None
    token_file: Path | None = None
    credential: str = ""


def parse_transit_key(name: str, folder: Path) -> TransitKey:
    """Read the address of a key.

    Args:
        name: the address with its options.
        folder: what relative paths are relative to.

    Raises:
        NotASeal: it is no such address.
    """
    try:
        check_endpoint_url(name)
        parts = urlsplit(name)
        options = dict(parse_qsl(parts.query, strict_parsing=True) if parts.query else ())
    except ValueError as error:
        raise NotASeal(f"the address of Transit {error}", _FORM) from None
    *mount, key = parts.path.strip("/").split("/")
    if not mount or not all(_SEGMENT.fullmatch(part) for part in (*mount, key)):
        raise NotASeal("the address of Transit needs the engine's mount and a key's name", _FORM)
    unknown = sorted(options.keys() - _OPTIONS)
    if unknown or ("token_file" in options and "credential" in options):
        known = "namespace, ca_file, and token_file or credential"
        raise NotASeal("the address of Transit has other options than there are", f"known: {known}")
    files = {key: folder / Path(options[key]).expanduser() for key in options if "_file" in key}
    return TransitKey(
        origin=origin_of(name),
        mount="/".join(mount),
        name=key,
        namespace=options.get("namespace", ""),
        ca_file=files.get("ca_file"),
        token_file=files.get("token_file"),
        credential=options.get("credential", ""),
    )


def read_token(key: TransitKey) -> str:
    """Read the token to use a key with.

    Raises:
        VaultSealed: there is none, or it is none.
    """
    if key.token_file is not None:
        where, found = f"the file {key.token_file}", read_private_file(key.token_file)
    elif key.credential:
        where = f"the systemd credential {key.credential}"
        found = read_credential(key.credential)
    else:
        where = f"the environment variable {TRANSIT_TOKEN_VARIABLE}"
        found = os.environ.get(TRANSIT_TOKEN_VARIABLE, "").encode(errors="replace")
    token = (found or b"").decode("ascii", "replace").strip()
    if _TOKEN.fullmatch(token) is None:
        reason = f"{where} holds no token" if token else f"there is no token in {where}"
        raise VaultSealed(reason, f"Write one for {key.origin} there.", lacks_key=True)
    return token
