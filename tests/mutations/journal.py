"""Guards of the journal."""

from typing import Final

from tests.mutations.mutation import Table, of

_JOURNAL: Final = "tests/unit/test_journal.py"
_KILLS: Final = "tests/acceptance/test_kill_points.py"

JOURNAL: Final = Table(
    title="What is kept",
    mutations=of(
        "connector/journal.py",
        (
            "a record is synced before its length says that it is there",
            (
                "        _write(self._descriptor, self._end + len(_END), head[len(_END) :] + body + _END)\n"
                "        os.fsync(self._descriptor)\n"
            ),
            "        _write(self._descriptor, self._end + len(_END), head[len(_END) :] + body + _END)\n",
            _JOURNAL,
        ),
        (
            "a record is synced before anybody relies on it",
            (
                "        _write(self._descriptor, self._end, head[: len(_END)])\n"
                "        os.fsync(self._descriptor)\n"
            ),
            "        _write(self._descriptor, self._end, head[: len(_END)])\n",
            _JOURNAL,
        ),
        (
            "each process has a file of its own",
            "        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)\n",
            "        pass\n",
            _JOURNAL,
        ),
        (
            "a torn record is none",
            "if length == 0 or len(body) < length or hashlib.sha256(body).digest() != digest:",
            "if length == 0 or len(body) < length:",
            _JOURNAL,
        ),
        (
            "what is settled stays settled",
            "[stored.record for stored in tuple(self._stored) if not stored.is_settled]",
            "[stored.record for stored in tuple(self._stored)]",
            _JOURNAL,
        ),
        (
            "what is settled is said so in the file",
            "                    _write(self._descriptor, stored.state_at, _SETTLED)\n",
            "                    pass\n",
            _JOURNAL,
        ),
        (
            "what others left is held",
            "                if file.held():\n                    self._adopted.append(file)\n",
            "                if False:\n                    pass\n",
            _JOURNAL,
        ),
        (
            "what was adopted is let go of once it is settled",
            "            self._adopted.remove(file)\n            file.close()\n",
            "            self._adopted.remove(file)\n",
            _JOURNAL,
        ),
        (
            "an answer is found for its generation",
            "if (record.account_id, record.generation) == (account_id, generation):",
            "if record.account_id == account_id:",
            _JOURNAL,
        ),
        (
            "room is allocated beforehand",
            "                os.posix_fallocate(descriptor, 0, ALLOCATED)\n",
            "                pass\n",
            _JOURNAL,
        ),
        (
            "room is used again",
            "        if self._stored and not self.held():\n",
            "        if False:\n",
            _JOURNAL,
        ),
        (
            "nobody else may read it",
            "os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)",
            "os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)",
            _JOURNAL,
        ),
        (
            "what a dead process left is taken over with its file",
            "            self._stored = list(_read(found))\n",
            "            self._stored = []\n",
            _JOURNAL,
        ),
    ),
)
