"""Guards of the vault's values: what one row holds costs nobody else."""

from typing import Final

from tests.mutations.mutation import Table, of

_DAMAGED: Final = "tests/store/test_damaged_rows.py"

_COLUMNS: Final = of(
    "connector/store/column_types.py",
    (
        "what is no ciphertext at all does not open",
        "bytes(value) if isinstance(value, memoryview) else NO_ENVELOPE",
        "bytes(value)",
        _DAMAGED,
    ),
    (
        "bytes in the place of text are read as text",
        "readable(value) if isinstance(value, bytes) else value",
        "value",
        _DAMAGED,
    ),
    (
        "text that is no UTF-8 is read as far as it can be",
        'return text.decode(errors="replace")',
        "raise",
        _DAMAGED,
    ),
)

SEALING: Final = Table(title="What the vault has sealed", mutations=(*_COLUMNS,))
