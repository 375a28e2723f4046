"""Runs as they are: a child process each, against the real API on loopback."""

import asyncio
import dataclasses
import logging
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import psycopg
import pyarrow.parquet as pq
import pytest

from connector import errors
from connector.credential import Credential
from connector.jobs import child_run
from connector.oauth.token import AccessToken
from connector.runtime import Runtime, RuntimeCredentials
from connector.secret import SecretReference
from connector.settings import DestinationSettings, HttpSettings
from connector.simulator.faults import Fault
from connector.store.runs import RunStore
from tests.unit.jobs.bench import Jobs, is_running, wait_for_end
from tests.unit.raw_server import RawServer, answer
from tests.unit.workbench import ACCOUNT, Workbench, dead_owner, in_thread

PAGES = """
async def pull(api, context):
    params = {"ad_account": "act_1001", "since": "2027-01-10", "until": "2027-01-12", "limit": 9}
    while True:
        answer = await api.get("insights", params=params)
        answer.raise_for_status()
        page = answer.json()
        yield [{"id": f"{row['date']} {row['ad_id']}", **row} for row in page["data"]]
        if not page["paging"]:
            break
        params["after"] = page["paging"]["after"]
    context.cursor = "2027-01-12"
"""

ME = """
async def pull(api, context):
    for number in (1, 2):
        answer = await api.get("me")
        answer.raise_for_status()
        yield [{"id": number, "name": answer.json()["name"]}]
        context.cursor = number
"""


class TestPull:
    async def test_pages_of_an_api(self, bench: Workbench, jobs: Jobs) -> None:
        progress: list[tuple[int, int]] = []
        jobs.write(PAGES)
        ending = await jobs.runner.run(
            jobs.job(),
            ACCOUNT,
            due_at=1_800_000_000,
            on_progress=lambda result: progress.append((result.records, result.batches)),
        )
        assert ending is not None
        assert (ending.outcome, ending.error) == ("succeeded", None)
        assert (ending.records, ending.batches, ending.tokens) == (24, 4, 1)
        assert ending.cursor == "2027-01-12"
        assert progress[0] == (9, 1), "those that follow at once may be passed over"
        assert [one for one in ((9, 1), (18, 2), (24, 3), (24, 4)) if one in progress] == progress
        expected = bench.simulator.ads.expected_rows("act_1001", "2027-01-10", "2027-01-12", "api")
        assert len(jobs.rows()) == len(expected) == 24
        run = await jobs.last()
        assert (run.outcome, run.records, run.due_at) == ("succeeded", 24, 1_800_000_000)
        assert run.cursor == '"2027-01-12"'
        again = await jobs.run()
        assert again.records == 24
        assert len(jobs.rows()) == 24, "a repeat changes nothing"
        assert await jobs.runner.run(jobs.job(), ACCOUNT, due_at=1_800_000_000) is None
        assert bench.refreshes == 0

    async def test_a_plain_function(self, jobs: Jobs) -> None:
        code = """
        import sys
        def pull(api, context):
            yield {"id": 1, "name": api.get("me").json()["name"], "stdin": sys.stdin.read()}
            yield {"id": 2, "name": context.options["greeting"], "stdin": context.cursor}
        """
        options: dict[str, object] = {"greeting": "héllo"}
        ending = await jobs.run(code, options=options, since="2026-01-01")
        assert (ending.outcome, ending.records) == ("succeeded", 2)
        assert jobs.rows("name, stdin") == [("Ada Lovelace", ""), ("héllo", "2026-01-01")]
        assert jobs.cursor() is None

    async def test_a_token_that_ends_meanwhile(self, bench: Workbench, jobs: Jobs) -> None:
        bench.simulator.faults.add(Fault(endpoint="api_me", kind="hold", when="after"))
        running = asyncio.create_task(jobs.run(ME))
        await bench.held()
        bench.simulator.state.expire_access_tokens("ada")
        bench.release()
        ending = await running
        assert (ending.outcome, ending.records, ending.tokens) == ("succeeded", 2, 2)
        assert bench.refreshes == 1

    async def test_a_consent_that_ends_meanwhile(self, bench: Workbench, jobs: Jobs) -> None:
        bench.simulator.faults.add(Fault(endpoint="api_me", kind="hold", when="after"))
        running = asyncio.create_task(jobs.run(ME))
        await bench.held()
        bench.simulator.state.revoke("ada")
        bench.release()
        ending = await running
        assert (ending.outcome, ending.records, ending.cursor) == ("consent_required", 1, None)
        assert ending.error is not None
        assert f"connector connect acme --account {ACCOUNT}" in ending.error
        assert jobs.rows("name") == [("Ada Lovelace",)], "everything so far is kept"
        assert (await jobs.last()).outcome == "consent_required"
        again = await jobs.run()
        assert (again.outcome, again.records) == ("consent_required", 0)
        assert bench.simulator.ledger.count("api_me") == 2, "without a process"

    async def test_the_provider_is_away_at_the_start(self, bench: Workbench, jobs: Jobs) -> None:
        bench.clock.advance(3600)
        bench.fault("status", times=None)
        ending = await jobs.run(ME)
        assert ending.outcome == "failed"
        assert ending.error is not None
        assert "HTTP 503" in ending.error


class TestFailures:
    async def test_an_exception_keeps_what_was_committed(self, jobs: Jobs) -> None:
        code = """
        async def pull(api, context):
            context.cursor = 1
            yield [{"id": 1}]
            raise ValueError("the data is odd")
        """
        ending = await jobs.run(code)
        assert (ending.outcome, ending.records, ending.cursor) == ("failed", 1, 1)
        assert ending.error == (
            f"ValueError: the data is odd ({jobs.bench.folder}/pulls.py, line 5)"
        )
        assert (jobs.rows("id"), jobs.cursor()) == ([(1,)], "1")
        assert (await jobs.last()).error == ending.error

    async def test_an_error_of_several_lines_is_noted_in_one(self, jobs: Jobs) -> None:
        code = """
        def pull(api, context):
            raise ValueError("the data\\n  is\\r\\n\\todd\\u2028")
        """
        ending = await jobs.run(code)
        place = f"({jobs.bench.folder}/pulls.py, line 3)"
        assert ending.error == f"ValueError: the data is odd {place}"
        assert (await jobs.last()).error == ending.error

    @pytest.mark.parametrize(
        "code",
        [
            """
            import requests
            def pull(api, context):
                answer = requests.get(f"{api.base_url}me", auth=api.auth, timeout=30)
                yield {"id": 1, "name": answer.json()["name"]}
            """,
            """
            import aiohttp
            async def pull(api, context):
                async with aiohttp.ClientSession(middlewares=(api.auth,)) as session:
                    async with session.get(f"{api.base_url}me") as answer:
                        yield {"id": 1, "name": (await answer.json())["name"]}
            """,
        ],
        ids=["requests", "aiohttp"],
    )
    async def test_another_client_with_the_auth_of_the_run(self, jobs: Jobs, code: str) -> None:
        jobs.bench.simulator.state.expire_access_tokens("ada")
        ending = await jobs.run(code)
        assert (ending.outcome, ending.error) == ("succeeded", None)
        assert jobs.rows("id, name") == [(1, "Ada Lovelace")]
        assert jobs.bench.refreshes == 1

    async def test_a_module_that_cannot_be_imported(self, jobs: Jobs) -> None:
        jobs.write("def pull(:")
        ending = await jobs.run()
        assert ending.error == f"SyntaxError: invalid syntax ({jobs.bench.folder}/pulls.py, line 1)"
        ending = await jobs.run(run="nowhere:pull")
        assert ending.error == "ModuleNotFoundError: No module named 'nowhere'"

    @pytest.mark.parametrize(
        ("code", "says"),
        [
            ("import os\ndef pull(api, context): os._exit(0)", "exit status 0"),
            (
                "import os\ndef pull(api, context): os.kill(os.getpid(), 9)",
                "killed by SIGKILL",
            ),
            (
                (
                    "import os, stat\ndef pull(*_):\n  for fd in range(3, 99):\n    try:\n"
                    "      if stat.S_ISSOCK(os.fstat(fd).st_mode): os.write(fd, b'junk\\n')\n"
                    "    except OSError: pass"
                ),
                "what is no message",
            ),
        ],
        ids=["os._exit", "killed", "junk"],
    )
    async def test_a_process_that_gives_no_result(self, jobs: Jobs, code: str, says: str) -> None:
        ending = await jobs.run(code)
        assert ending.outcome == "failed"
        assert ending.error is not None
        assert says in ending.error
        assert (await jobs.last()).outcome == "failed"

    @pytest.mark.parametrize(
        ("raised", "says"),
        [
            ("SystemExit('enough')", "SystemExit: enough ("),
            ("KeyboardInterrupt", "KeyboardInterrupt: ("),
            ("asyncio.CancelledError", "CancelledError: ("),
            ("Mute", "Mute: (what it says raises ZeroDivisionError) ("),
            ("ValueError('x' * 20_000_000)", "ValueError: xxx"),
        ],
    )
    async def test_whatever_is_raised_is_told(self, jobs: Jobs, raised: str, says: str) -> None:
        code = """
        import asyncio
        class Mute(Exception):
            def __str__(self): return 1 / 0
        def pull(api, context):
            yield [{"id": 1}]
            raise """
        ending = await jobs.run(code + raised)
        assert (ending.outcome, ending.records) == ("failed", 1)
        assert ending.error is not None
        assert ending.error.startswith(says)
        assert "pulls.py, line 7)" in ending.error or len(ending.error) > 1000

    async def test_a_process_that_is_forked_off_and_comes_back_writes_nothing(
        self, jobs: Jobs, caplog: pytest.LogCaptureFixture
    ) -> None:
        """It would write each record once more, beside the run."""
        code = """
        import os, sys
        def pull(api, context):
            for status in (0, 5):
                if pid := os.fork():
                    _, status = os.waitpid(pid, 0)
                    yield {"id": os.waitstatus_to_exitcode(status)}
                elif status:
                    sys.exit(status)
            yield {"id": 100}
        """
        caplog.set_level(logging.INFO, "connector")
        table = jobs.job().destination
        ending = await jobs.run(code, destination=dataclasses.replace(table, mode="append"))
        assert (ending.outcome, ending.error, ending.records) == ("succeeded", None, 3)
        assert jobs.rows("id") == [(5,), (os.EX_SOFTWARE,), (100,)]
        assert "came back into its run: ForkedOff: it has to end with os._exit" in caplog.text

    async def test_what_is_too_long_to_be_told_ends_no_run(self, jobs: Jobs) -> None:
        code = """
        class Mute:
            def __str__(self): return 1 / 0
        def pull(api, context):
            context.logger.info("x" * 20_000_000)
            context.logger.info("%s", Mute())
            context.progress(0.5, "x" * 20_000_000)
            yield [{"id": 1}]
            context.cursor = "x" * 2_000_000
            yield [{"id": 2}]
        """
        ending = await jobs.run(code)
        assert (ending.outcome, ending.records) == ("failed", 1)
        assert ending.error is not None
        assert ending.error.startswith("the cursor is too large")

    async def test_a_folder_that_is_gone(self, jobs: Jobs) -> None:
        runner = jobs.make_runner(RuntimeCredentials(jobs.runtime), folder=Path("/none"))
        ending = await runner.run(jobs.job(), ACCOUNT, due_at=None)
        assert ending is not None
        assert ending.outcome == "failed"
        assert ending.error is not None
        assert "No such file or directory: '/none'" in ending.error

    async def test_what_was_committed_cannot_be_passed_on(self, jobs: Jobs) -> None:
        """The run fails, and the next one begins where it got to and passes all of it on."""
        folder = jobs.bench.folder / "ads"
        destination = DestinationSettings(url=f"parquet:{folder}", table="t", key=("id",))
        ending = await jobs.run(
            """
            import os

            def pull(api, context):
                os.mkdir("ads/_connector.lock")
                context.cursor = 7
                yield {"id": 1}
            """,
            destination=destination,
        )
        assert (ending.outcome, ending.records) == ("failed", 1)
        assert ending.error is not None
        assert "_connector.lock: Is a directory" in ending.error
        (folder / "_connector.lock").rmdir()
        ending = await jobs.run(
            "def pull(api, context): return [{'id': context.cursor}]", destination=destination
        )
        assert ending.outcome == "succeeded"
        (part,) = folder.glob("*.parquet")
        assert pq.read_table(part)["id"].to_pylist() == [1, 7]

    async def test_a_destination_that_cannot_be_written(self, jobs: Jobs) -> None:
        (jobs.bench.folder / "file").write_text("")
        destination = DestinationSettings(
            url=f"jsonl:{jobs.bench.folder}/file/x", table="t", key=()
        )
        ending = await jobs.run("def pull(api, context): return []", destination=destination)
        assert ending.outcome == "failed"
        assert ending.error is not None
        assert "file" in ending.error


class TestDestination:
    async def test_records_that_are_set_aside_are_told(
        self, jobs: Jobs, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "connector")
        ending = await jobs.run("def pull(api, context): return [[{'id': 1}, {}, {'n': 1}]]")
        assert (ending.outcome, ending.records) == ("succeeded", 1)
        told = "2 records were set aside; the first lacks id, part of its key"
        assert (await jobs.last()).error == told
        actions = {getattr(one, "action", ""): one.getMessage() for one in caplog.records}
        assert actions["job.rejected"] == told
        assert actions["job.schema"] == "table t is new: 2 columns"

    async def test_nothing_else_ends_the_run(self, jobs: Jobs) -> None:
        ending = await jobs.run("def pull(api, context): return [[{}], [{'id': 1}]]")
        assert (ending.outcome, ending.records) == ("failed", 0)
        assert ending.error is not None
        assert ending.error.startswith("none of the first 1 records could be written: the first")

    async def test_a_secret_place_is_told_to_the_child_alone(
        self, jobs: Jobs, postgres_url: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        """It is in no argument and no variable, and masked in what comes back."""
        caplog.set_level(logging.DEBUG)
        (jobs.bench.folder / "place").write_text(postgres_url)
        reference = SecretReference(
            kind="file", name="place", source="c", key="k", folder=jobs.bench.folder
        )
        destination = DestinationSettings(url=reference, table="t", key=("id",))
        code = f"""
        import os, sys
        def pull(api, context):
            place = {postgres_url[::-1]!r}[::-1]
            assert not any(place in one for one in [*sys.argv, *os.environ.values()])
            print("the place is", place)
            yield [{{"id": 1, "n": [1]}}]
            raise ValueError(place)
        """
        ending = await jobs.run(code, destination=destination)
        assert (ending.records, ending.outcome) == (1, "failed")
        assert ending.error is not None
        assert "[secret]" in ending.error
        assert postgres_url not in ending.error + caplog.text
        assert "the place is [secret]" in caplog.text
        with psycopg.connect(postgres_url) as connection:
            assert connection.execute("SELECT id, n FROM t").fetchall() == [(1, [1])]

    async def test_a_secret_that_is_missing(self, jobs: Jobs) -> None:
        reference = SecretReference(
            kind="file", name="none", source="config.toml", key="k", folder=jobs.bench.folder
        )
        destination = DestinationSettings(url=reference, table="t", key=())
        ending = await jobs.run("def pull(api, context): ...", destination=destination)
        assert (ending.outcome, ending.records) == ("failed", 0)
        assert ending.error is not None
        assert "config.toml: k: " in ending.error


class TestDeadline:
    async def test_a_run_is_killed_with_what_it_has_started(
        self, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Even where it does not want to end."""
        monkeypatch.setattr(child_run, "GRACE", 0.1)
        code = """
        import os, signal, subprocess, sys, time
        def pull(api, context):
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            code = "import signal, time; signal.signal(15, 1); time.sleep(600)"
            started = subprocess.Popen([sys.executable, "-c", code])
            forked = os.fork()
            if not forked:
                time.sleep(600)
            context.cursor = [os.getpid(), started.pid, forked]
            yield [{"id": 1}]
            api.get("me")
            time.sleep(600)
        """
        pids: list[int] = []

        def note(result: object) -> None:
            pids.extend(result.cursor)  # type: ignore[attr-defined]

        jobs.write(code)
        job = jobs.job(deadline=3)
        ending = await jobs.runner.run(job, ACCOUNT, due_at=None, on_progress=note)
        assert ending is not None
        assert (ending.outcome, ending.records) == ("failed", 1)
        assert ending.error == "killed at its deadline of 3 s"
        assert len(pids) == 3
        for pid in pids:
            await in_thread(wait_for_end, pid)
        assert (await jobs.last()).error == ending.error

    async def test_what_outlives_a_run_is_ended_with_it(self, jobs: Jobs) -> None:
        """A process that was forked off holds every pipe, and the run ends all the same."""
        code = """
        import os, time
        def pull(api, context):
            forked = os.fork()
            if not forked:
                time.sleep(600)
            return [{"id": forked}]
        """
        ending = await jobs.run(code, deadline=30)
        assert (ending.outcome, ending.records) == ("succeeded", 1)
        ((pid,),) = jobs.rows("id")
        assert not is_running(pid)

    async def test_a_process_of_its_own_session_does_not_hold_the_run(self, jobs: Jobs) -> None:
        code = """
        import subprocess, sys
        def pull(api, context):
            code = "import sys; sys.stdin.read()"
            started = subprocess.Popen(
                [sys.executable, "-c", code], stdin=subprocess.PIPE, start_new_session=True
            )
            return [{"id": started.pid}]
        """
        ending = await jobs.run(code, deadline=30)
        assert ending.outcome == "succeeded"
        ((pid,),) = jobs.rows("id")
        await in_thread(wait_for_end, pid)  # its standard input ended with the run


class TestStopped:
    async def test_a_run_that_is_stopped_keeps_what_it_has(
        self, bench: Workbench, jobs: Jobs
    ) -> None:
        code = """
        import os
        async def pull(api, context):
            context.cursor = os.getpid()
            yield [{"id": 1}]
            await api.get("me")
        """
        bench.simulator.faults.add(Fault(endpoint="api_me", kind="hold"))
        running = asyncio.create_task(jobs.run(code))
        await bench.held()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        run = await jobs.last()
        assert (run.outcome, run.error) == ("interrupted", "the process was stopped")
        assert (run.records, run.batches, run.tokens) == (1, 1, 1)
        assert run.cursor is not None
        assert not is_running(int(run.cursor))
        bench.release()

    def test_a_run_ends_with_its_parent(self, bench: Workbench, tmp_path: Path) -> None:
        """Nobody would serve it any more, and nobody would kill it."""
        bench.connect_apart()
        code = """
import os, time
from pathlib import Path
def pull(api, context):
    forked = os.fork()
    if not forked:
        time.sleep(600)
    Path("pids").write_text(f"{os.getpid()} {forked}")
    api.get("me")
"""
        (tmp_path / "pulls.py").write_text(code)
        bench.configure(
            more='[jobs.pull]\naccount = "acme/*"\nrun = "pulls:pull"\n'
            'destination = { to = "sqlite:///ads.db" }'
        )
        bench.simulator.faults.add(Fault(endpoint="api_me", kind="hold"))
        parent = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "connector",
                "--config",
                str(bench.config),
                "jobs",
                "run",
                "pull",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        bench.simulator.gates["gate"].wait_until_held(timeout=30)
        pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
        assert all(map(is_running, pids))
        parent.kill()
        parent.wait()
        for pid in pids:
            wait_for_end(pid)
        bench.release()


class TestSecrets:
    async def test_a_token_is_masked_wherever_it_is_shown(
        self, runtime: Runtime, jobs: Jobs, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        code = """
        import sys
        from urllib.parse import quote
        def pull(api, context):
            answer = api.get("me")
            token = answer.request.headers["Authorization"]
            print("printed", token)
            print("to stderr", quote(token), file=sys.stderr, flush=True)
            context.logger.warning("logged %s", token)
            print("x" * 2_000_000 + token)
            print("after a long line", flush=True)
            sys.stdout.buffer.write(b"\\xff\\n")
            sys.stdout.flush()
            raise ValueError(f"raised {token}")
        """
        ending = await jobs.run(code)
        token = (await runtime.tokens.get(ACCOUNT)).value
        assert ending.error is not None
        assert ending.error.startswith("ValueError: raised Bearer [access token]")
        shown = "\n".join(record.getMessage() for record in caplog.records)
        assert token not in shown
        kept = await runtime.runs.logs.of_run((await jobs.last()).id)
        log = "\n".join(line.text for line in kept)
        assert token not in log
        assert "printed Bearer [access token]" in log
        assert "logged Bearer [access token]" in log
        for text in ("printed", "logged"):
            assert f"{text} Bearer [access token]" in shown
        assert "to stderr Bearer%20[access token]" in shown
        assert "(a line that is too long)" in shown
        assert "after a long line" in shown
        assert "\ufffd" in shown
        lines = [
            record for record in caplog.records if getattr(record, "action", "") == "job.output"
        ]
        assert {(record.job, record.account) for record in lines} == {  # type: ignore[attr-defined]
            ("pull", ACCOUNT)
        }

    async def test_nothing_secret_is_in_arguments_or_environment(
        self, bench: Workbench, runtime: Runtime, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ACME_SECRET", "planted-in-the-environment")
        monkeypatch.setenv("CONNECTOR_VAULT_URL", "postgresql://u:planted-password@h/d")
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials/planted")
        monkeypatch.setenv("HARMLESS", "kept")
        code = """
        import os, sys
        from pathlib import Path
        def pull(api, context):
            api.get("me")
            read = lambda name: Path(f"/proc/self/{name}").read_text().replace("\\0", " ")
            files = [str(one.resolve()) for one in Path("/proc/self/fd").iterdir()]
            modules = " ".join(name for name in sys.modules if "sql" in name or "vault" in name)
            environ = read("environ") + str(dict(os.environ))
            return [{"id": read("cmdline"), "environ": environ, "cwd": os.getcwd(),
                     "modules": modules, "files": " ".join(files)}]
        """
        runner = jobs.make_runner(
            RuntimeCredentials(runtime), hidden_variables=frozenset({"ACME_SECRET"})
        )
        jobs.write(code)
        ending = await runner.run(jobs.job(), ACCOUNT, due_at=None)
        assert ending is not None
        assert ending.outcome == "succeeded", ending.error
        ((cmdline, environ, cwd, modules, files),) = jobs.rows("id, environ, cwd, modules, files")
        token = (await runtime.tokens.get(ACCOUNT)).value
        for text in (cmdline, environ):
            assert "planted" not in text
            assert token not in text
            assert bench.simulator.client.client_secret not in text
        assert "'HARMLESS': 'kept'" in environ
        assert cwd == str(bench.folder)
        assert "sqlalchemy" not in modules
        assert "connector.vault" not in modules
        assert "ads.db" in files
        assert "vault.db" not in files


class TestWhoseCursor:
    CODE = """
    def pull(api, context):
        yield [{"id": context.run_id, "cursor": context.cursor}]
        context.cursor = context.account
    """

    async def test_another_account_of_the_same_name_begins_anew(
        self, bench: Workbench, runtime: Runtime, jobs: Jobs
    ) -> None:
        await jobs.run(self.CODE)
        await runtime.accounts.forget(await runtime.accounts.require(ACCOUNT))
        await bench.connect(runtime, person="grace")
        await jobs.run()
        assert jobs.rows("cursor") == [(None,), (None,)]

    async def test_an_account_that_is_renamed_goes_on(self, runtime: Runtime, jobs: Jobs) -> None:
        await jobs.run(self.CODE)
        await runtime.accounts.rename(await runtime.accounts.require(ACCOUNT), "acme/new")
        await jobs.runner.run(jobs.job(), "acme/new", due_at=None)
        assert sorted(jobs.rows("_account, cursor")) == [(ACCOUNT, None), ("acme/new", ACCOUNT)]

    async def test_an_account_that_has_gone_is_no_run(self, runtime: Runtime, jobs: Jobs) -> None:
        await runtime.accounts.forget(await runtime.accounts.require(ACCOUNT))
        with pytest.raises(errors.UnknownAccount):
            await jobs.run(self.CODE)
        assert await runtime.runs.history("pull", limit=1) == []


class TestOneAtATime:
    async def test_runs_of_one_job_and_account_never_overlap(
        self, bench: Workbench, runtime: Runtime, jobs: Jobs
    ) -> None:
        bench.simulator.faults.add(Fault(endpoint="api_me", kind="hold"))
        jobs.write(ME)
        first = asyncio.create_task(jobs.run())
        await bench.held()
        assert await jobs.runner.run(jobs.job(), ACCOUNT, due_at=None) is None
        assert await jobs.runner.run(jobs.job(), ACCOUNT, due_at=1_800_000_060) is None
        async with bench.runtime() as other:
            with closing(Jobs(bench, other)) as others:
                assert await others.runner.run(jobs.job(), ACCOUNT, due_at=None) is None
        bench.release()
        assert (await first).outcome == "succeeded"
        assert len(await runtime.runs.history("pull", limit=10)) == 1

    async def test_a_run_of_a_process_that_is_gone_is_taken_for_interrupted(
        self, runtime: Runtime, jobs: Jobs
    ) -> None:
        gone = await in_thread(dead_owner)
        left = await runtime.runs.claim("pull", ACCOUNT, None, owner=gone, now=1)
        assert left is not None
        ending = await jobs.run("def pull(api, context): return []")
        assert ending.outcome == "succeeded"
        outcomes = {run.id: run.outcome for run in await runtime.runs.history("pull", limit=9)}
        assert outcomes.pop(left.id) == "interrupted"
        assert list(outcomes.values()) == ["succeeded"]

    async def test_a_run_of_another_container_gives_way_after_its_deadline(
        self, bench: Workbench, runtime: Runtime, jobs: Jobs
    ) -> None:
        boot_id, namespace, *rest = runtime.owner.split(":")
        container = jobs.make_runner(
            RuntimeCredentials(runtime), owner=":".join((boot_id, f"{namespace}0", *rest))
        )
        bench.simulator.faults.add(Fault(endpoint="api_me", kind="hold"))
        jobs.write(ME)
        lost = asyncio.create_task(container.run(jobs.job(), ACCOUNT, due_at=None))
        await bench.held()
        bench.clock.advance(60 + 301)
        jobs.write("def pull(api, context): return []", "others")
        assert (await jobs.run(run="others:pull")).outcome == "succeeded"
        interrupted = (await runtime.runs.history("pull", limit=9))[-1]
        assert interrupted.outcome == "interrupted"
        bench.release()
        await lost


class TestStoreAway:
    async def test_an_ending_is_written_before_the_next_run(
        self, runtime: Runtime, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A run that nobody wrote the end of would keep its job from running for ever."""

        async def fail(*_: object, **__: object) -> None:
            raise errors.TemporarilyUnavailable("the disk is full")

        with monkeypatch.context() as patch:
            patch.setattr(RunStore, "finish", fail)
            ending = await jobs.run("def pull(api, context): return [{'id': 1}]")
            assert ending.outcome == "succeeded", "it is told all the same"
            with pytest.raises(errors.TemporarilyUnavailable):
                await jobs.run()
        assert (await jobs.last()).outcome == "running"
        assert (await jobs.run()).outcome == "succeeded"
        outcomes = [run.outcome for run in await runtime.runs.history("pull", limit=9)]
        assert outcomes == ["succeeded", "succeeded"]


class TestBugsOfOurs:
    async def test_a_credential_that_fails_by_a_bug(
        self, runtime: Runtime, jobs: Jobs, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Broken(RuntimeCredentials):
            calls = 0

            async def credential(self, account: str, rejected: AccessToken | None) -> Credential:
                self.calls += 1
                if self.calls > 1:
                    raise ZeroDivisionError
                return await super().credential(account, rejected)

        runner = jobs.make_runner(Broken(runtime))
        jobs.write(ME)
        ending = await runner.run(jobs.job(), ACCOUNT, due_at=None)
        assert ending is not None
        assert ending.outcome == "failed"
        assert ending.error is not None
        assert "a bug of Connector's" in ending.error
        assert "ZeroDivisionError" in caplog.text

    async def test_a_run_that_fails_by_a_bug_does_not_stay_running(self, jobs: Jobs) -> None:
        def fail(_result: object) -> None:
            raise ZeroDivisionError

        jobs.write("import os\ndef pull(api, context):\n  yield [{'id': os.getpid()}]")
        with pytest.raises(ZeroDivisionError):
            await jobs.runner.run(jobs.job(), ACCOUNT, due_at=None, on_progress=fail)
        assert (await jobs.last()).outcome == "failed"
        ((pid,),) = jobs.rows("id")
        assert not is_running(pid)


async def test_which_accounts_a_job_selects(bench: Workbench, runtime: Runtime, jobs: Jobs) -> None:
    await bench.connect(runtime, "acme/other")
    await bench.connect(runtime, "acme/deep/er")
    await bench.connect(runtime, "beta/ads")
    names = [account.name for account in await jobs.runner.accounts_of(jobs.job())]
    assert names == ["acme/ads", "acme/other"]
    assert await jobs.runner.accounts_of(jobs.job(provider="facebook")) == []
    assert (await jobs.runner.require_account(jobs.job(), "acme/other")).name == "acme/other"
    for name in ("beta/ads", "acme/never"):
        with pytest.raises(errors.UnknownAccount):
            await jobs.runner.require_account(jobs.job(), name)


class TestLeaving:
    """What a run calls goes by ``[http]``, as what we call ourselves does."""

    @pytest.mark.parametrize("kind", ["async def", "def"])
    async def test_by_the_proxy_and_by_no_other(
        self, jobs: Jobs, kind: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        code = f"""
        {kind} pull(api, context):
            answer = {"await " if kind == "async def" else ""}api.get("me")
            return [{{"id": answer.json()["name"]}}]
        """
        proxy = RawServer()
        proxy.will(answer(body={"name": "by the proxy"}))
        await proxy.start()
        try:
            jobs.runner.http = HttpSettings(proxy=proxy.origin, ca_file=None)
            ending = await jobs.run(code)
        finally:
            await proxy.stop()
        assert ending.outcome == "succeeded", ending.error
        assert jobs.rows("id") == [("by the proxy",)]
        (received,) = proxy.received
        assert received.target.startswith("http://127.0.0.1:"), "the whole URL, as proxies want it"

    async def test_authorities_that_cannot_be_read(self, jobs: Jobs) -> None:
        jobs.runner.http = HttpSettings(proxy=None, ca_file="/none.pem")
        ending = await jobs.run("def pull(api, context): return []")
        assert ending.outcome == "failed"
        assert "FileNotFoundError" in str(ending.error)
