"""Types of columns that take whatever is in one row, so that it costs nobody but that row.

A column of SQLite holds any type that somebody puts there, and text that is no UTF-8; what a driver
makes of that must fail for one account, when its token is wanted, and not for all that are read
together with it (CHECKLIST 116). Postgres keeps such things out.
"""

from typing import Any, Final

from sqlalchemy import Dialect, LargeBinary, String, TypeDecorator

#: In the place of what is no ciphertext at all: no version of the envelope, so that it never opens.
NO_ENVELOPE: Final = bytes(64)


class SealedBytes(TypeDecorator[bytes]):
    """Ciphertext; text and numbers in its place are bytes that do not open."""

    impl = LargeBinary
    cache_ok = True

    def process_result_value(self, value: Any | None, dialect: Dialect) -> bytes | None:  # noqa: ARG002
        """Give bytes, whatever is there."""
        if value is None or isinstance(value, bytes):
            return value
        return bytes(value) if isinstance(value, memoryview) else NO_ENVELOPE


class LenientText(TypeDecorator[str]):
    """Text; bytes in its place are read as text."""

    impl = String
    cache_ok = True

    def process_result_value(self, value: Any | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Give text, whatever is there."""
        return readable(value) if isinstance(value, bytes) else value


class ForeignText(LenientText):
    """Text that a provider or a user's function chose.

    JSON can hold a NUL, which Postgres does not take, and lone surrogates, which no UTF-8 has. A
    token must not be lost for the sake of the words around it, so these are replaced.
    """

    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Make it fit for any database."""
        if value is None:
            return None
        return value.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()


def readable(text: bytes) -> str:
    """Decode the text of a row; what is no UTF-8 is replaced.

    It is the ``text_factory`` of every connection to SQLite: `str` would have the driver fail for
    all rows of a query. To decode with a handler of errors takes twice as long as without one.
    """
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text.decode(errors="replace")
