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

_CORE_DUMPS: Final = of(
    "connector/cli/core_dumps.py",
    (
        "a process that has the vault open is not dumped",
        "    _prctl(_PR_SET_DUMPABLE)\n",
        "",
        "tests/unit/test_core_dumps.py",
    ),
)

_JOURNAL_FOLDER: Final = of(
    "connector/journal_folder.py",
    (
        "a journal that others may enter is refused",
        "if status.st_mode & 0o077:",
        "if status.st_mode & 0o007:",
        "tests/unit/test_journal_folder.py",
    ),
)

_SQLITE_FILE: Final = of(
    "connector/store/sqlite_file.py",
    (
        "a vault on a network file system is refused",
        "if kind is not None:",
        "if kind is None and kind is not None:",
        "tests/unit/test_file_systems.py",
    ),
)

SEALING: Final = Table(
    title="What the vault has sealed",
    mutations=(*_COLUMNS, *_CORE_DUMPS, *_JOURNAL_FOLDER, *_SQLITE_FILE),
)
