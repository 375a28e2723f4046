"""Secrets and the references that stand for them (CHECKLIST 164, 165)."""

import copy
import dataclasses
import json
import pickle
import threading
import traceback
from pathlib import Path

import keyring
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keyring.errors import InitError

from connector.errors import ConfigurationError
from connector.secret import LARGEST_SECRET_FILE, REFERENCE_KINDS, Secret, SecretReference

CANARY = "canary-5f1c"


@dataclasses.dataclass
class Holder:
    secret: Secret


def reference(kind: str, name: str, folder: Path = Path()) -> SecretReference:
    return SecretReference(
        kind=kind,
        name=name,
        source="config.toml",
        key="providers.acme.client_secret",
        folder=folder,
    )


@pytest.mark.parametrize(
    "shown",
    [
        repr,
        str,
        ascii,
        lambda s: f"{s}",
        lambda s: f"{s!r:>40}",
        lambda s: f"{s:>40}",
        lambda s: "%s %r" % (s, s),  # noqa: UP031 - old code shows things this way
        "{}".format,
        lambda s: repr([s, {"k": s}, (s,)]),
        lambda s: repr(Holder(s)),
        lambda s: repr(dataclasses.asdict(Holder(s))),
        lambda s: repr(copy.copy(s)),
        lambda s: repr(copy.deepcopy({"k": [s]})),
        lambda s: json.dumps(s, default=str),
        lambda s: repr(dir(s)),
    ],
)
def test_nothing_shows_a_secret(shown: object) -> None:
    assert callable(shown)
    assert CANARY not in shown(Secret(CANARY))


@pytest.mark.parametrize(
    "dump",
    [
        json.dumps,
        pickle.dumps,
        lambda s: pickle.dumps(s, 0),
        lambda s: pickle.dumps(Holder(s)),
        vars,
        "".join,
    ],
    ids=["json", "pickle", "pickle-0", "pickle-in-a-dataclass", "vars", "join"],
)
def test_a_secret_is_dumped_by_nothing(dump: object) -> None:
    assert callable(dump)
    with pytest.raises(TypeError) as raised:
        dump(Secret(CANARY))
    assert CANARY not in str(raised.value)


def test_a_traceback_with_locals_shows_no_secret() -> None:
    def fail(secret: Secret) -> None:
        raise ValueError(secret)

    with pytest.raises(ValueError, match="Secret") as raised:
        fail(Secret(CANARY))
    shown = traceback.TracebackException.from_exception(raised.value, capture_locals=True)
    text = "".join(shown.format())
    assert "secret = Secret(…)" in text
    assert CANARY not in text


def test_reveal_gives_the_value() -> None:
    assert Secret(CANARY).reveal() == CANARY


def test_a_copy_is_the_same_secret() -> None:
    secret = Secret(CANARY)
    assert copy.deepcopy(secret) is secret
    assert copy.copy(secret) is secret


def test_a_secret_is_true_when_it_holds_something() -> None:
    assert Secret("x")
    assert not Secret("")


@given(st.text(alphabet=st.characters(codec=None)), st.text(alphabet=st.characters(codec=None)))
def test_equality_is_that_of_the_values(one: str, two: str) -> None:
    """Whatever the text, halves of characters included: a comparison never raises."""
    assert (Secret(one) == Secret(two)) == (one == two)
    assert Secret(one) == Secret(one)


def test_a_secret_equals_no_string() -> None:
    assert Secret("x") != "x"


def test_a_secret_has_no_hash() -> None:
    with pytest.raises(TypeError):
        hash(Secret("x"))


# --- references


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b"s3cret", "s3cret"),
        (b"s3cret\n", "s3cret"),
        (b"s3cret\r\n", "s3cret"),
        (b"two words:%+=\n", "two words:%+="),
        ("gehe\u00efm\n".encode(), "gehe\u00efm"),
        (b"x" * LARGEST_SECRET_FILE, "x" * LARGEST_SECRET_FILE),
    ],
    ids=["bare", "newline", "crlf", "inner", "utf-8", "largest"],
)
def test_a_file_holds_a_secret(tmp_path: Path, content: bytes, value: str) -> None:
    (tmp_path / "acme.secret").write_bytes(content)
    assert reference("file", "acme.secret", tmp_path).resolve().reveal() == value
    absolute = reference("file", str(tmp_path / "acme.secret"), Path("/nowhere"))
    assert absolute.resolve().reveal() == value


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"", "it is empty"),
        (b" \n", "it is empty"),
        (b"\xff\xfe\x00" + CANARY.encode(), "is not UTF-8 text"),
        (CANARY.encode() * 6000, "is larger than 65536 bytes"),
    ],
    ids=["absent", "empty", "blank", "binary", "too-large"],
)
def test_what_is_wrong_with_a_file(tmp_path: Path, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / "acme.secret").write_bytes(content)
    with pytest.raises(ConfigurationError) as raised:
        reference("file", "acme.secret", tmp_path).resolve()
    (problem,) = raised.value.problems
    assert (problem.source, problem.key) == ("config.toml", "providers.acme.client_secret")
    assert message in problem.message
    assert problem.remedy == "write the secret to acme.secret, readable by you alone"
    assert CANARY not in str(raised.value)
    shown = "".join(traceback.format_exception(raised.value))
    assert CANARY not in shown


def test_a_file_is_read_when_it_is_needed(tmp_path: Path) -> None:
    later = reference("file", "acme.secret", tmp_path)
    for value in ("one", "two"):
        (tmp_path / "acme.secret").write_text(value)
        assert later.resolve() == Secret(value)


def test_a_home_folder_that_nobody_has_is_told() -> None:
    with pytest.raises(ConfigurationError, match="home directory"):
        reference("file", "~nobody-of-that-name/x").resolve()


def test_a_variable_holds_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_SECRET", " s3cret\n")
    assert reference("env", "ACME_SECRET").resolve() == Secret("s3cret")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "the environment variable ACME_SECRET is not set"),
        ("", "it is empty"),
        (CANARY + "\udcff", "the environment variable ACME_SECRET is not UTF-8 text"),
    ],
    ids=["unset", "empty", "not-text"],
)
def test_what_is_wrong_with_a_variable(
    monkeypatch: pytest.MonkeyPatch, value: str | None, message: str
) -> None:
    monkeypatch.delenv("ACME_SECRET", raising=False)
    if value is not None:
        monkeypatch.setenv("ACME_SECRET", value)
    with pytest.raises(ConfigurationError) as raised:
        reference("env", "ACME_SECRET").resolve()
    (problem,) = raised.value.problems
    assert problem.message == message
    assert problem.remedy == "export ACME_SECRET=… before Connector starts"
    assert CANARY not in str(raised.value)


def test_a_systemd_credential_holds_a_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (tmp_path / "acme").write_text("s3cret\n")
    assert reference("credential", "acme").resolve() == Secret("s3cret")


@pytest.mark.parametrize("name", ["../acme", "a/b", "..", "."])
def test_a_credential_cannot_leave_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    with pytest.raises(ConfigurationError, match="is not the name of a credential"):
        reference("credential", name).resolve()


def test_a_credential_needs_systemd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(ConfigurationError, match="not started by systemd") as raised:
        reference("credential", "acme").resolve()
    assert "LoadCredentialEncrypted=acme" in str(raised.value)


class Keyring:
    """A keyring with one entry, or none that works."""

    def __init__(self, *, is_broken: bool = False) -> None:
        self.is_broken = is_broken

    def get_password(self, service: str, user: str) -> str | None:
        if self.is_broken:
            raise InitError("no backend")
        return "s3cret" if (service, user) == ("acme", "client") else None


@pytest.fixture
def working_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyring, "get_password", Keyring().get_password)


@pytest.mark.usefixtures("working_keyring")
def test_the_keyring_holds_a_secret() -> None:
    assert reference("keyring", "acme/client").resolve() == Secret("s3cret")


@pytest.mark.usefixtures("working_keyring")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("acme/other", "the keyring has no entry acme/other"),
        ("acme", "not of the form SERVICE/USER"),
    ],
)
def test_what_is_wrong_with_a_keyring_entry(name: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as raised:
        reference("keyring", name).resolve()
    assert "store it with: keyring set acme" in str(raised.value)


def test_a_keyring_that_does_not_open_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyring, "get_password", Keyring(is_broken=True).get_password)
    with pytest.raises(ConfigurationError, match="the keyring cannot be read: no backend"):
        reference("keyring", "acme/client").resolve()


def test_a_keyring_that_does_not_answer_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """CHECKLIST 124: as one that asks a person who is not there."""
    answer = threading.Event()
    monkeypatch.setattr(keyring, "get_password", lambda *_: answer.wait())
    monkeypatch.setattr("connector.secret.KEYRING_TIME", 0.05)
    with pytest.raises(ConfigurationError, match=r"did not answer within 0\.05 s"):
        reference("keyring", "acme/client").resolve()
    answer.set()


def test_a_literal_is_a_secret_in_every_dump() -> None:
    literal = dataclasses.replace(reference("literal", ""), literal=Secret(CANARY))
    assert literal.resolve().reveal() == CANARY
    shown = [repr(literal), str(literal), f"{literal}", repr(dataclasses.asdict(literal))]
    shown.append(repr(copy.deepcopy(literal)))
    assert CANARY not in "".join(shown)
    with pytest.raises(TypeError):
        pickle.dumps(literal)


def test_a_reference_names_itself() -> None:
    assert repr(reference("env", "ACME_SECRET")) == "SecretReference(env:ACME_SECRET)"
    assert set(REFERENCE_KINDS) == {"env", "file", "keyring", "credential"}
