from dataclasses import fields, replace

import pytest

from connector.simulator.options import (
    SECRET_SETTINGS,
    as_json,
    changed,
    descriptions,
    from_text,
    hints,
)
from connector.simulator.setting import SettingsError
from connector.simulator.settings import Settings


def test_every_setting_has_a_description() -> None:
    texts = descriptions()
    assert set(texts) == {field.name for field in fields(Settings)} == set(hints())
    assert all(len(text) > 5 for text in texts.values())


def test_settings_are_values() -> None:
    settings = Settings(access_token_lifetime=3, rotation="strict_family")
    assert replace(settings, rotation="none").rotation == "none"
    assert settings.rotation == "strict_family"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"acces_token_lifetime": 1}, "no setting 'acces_token_lifetime', did you mean access_tok"),
        ({"zzz": 1}, "no setting 'zzz'"),
        ({"rotation": "sometimes"}, "rotation must be one of none, strict, strict_family"),
        ({"access_token_lifetime": "3"}, "access_token_lifetime must be a number"),
        ({"access_token_lifetime": True}, "access_token_lifetime must be a number"),
        ({"access_token_lifetime": None}, "access_token_lifetime must be a number"),
        ({"access_token_lifetime": -1}, "access_token_lifetime must be a finite number"),
        ({"access_token_lifetime": float("inf")}, "must be a finite number"),
        ({"ads_seed": 1.5}, "ads_seed must be a whole number"),
        ({"ads_seed": "1"}, "ads_seed must be a whole number"),
        ({"ads_seed": float("nan")}, "ads_seed must be a whole number"),
        ({"require_pkce": 1}, "require_pkce must be true or false"),
        ({"client_id": 5}, "client_id must be a string"),
        ({"client_id": ""}, "client_id must not be empty"),
        ({"client_id": "connector-public"}, "client_id and public_client_id must differ"),
        ({"omit": "scope"}, "omit must be a list of strings"),
        ({"omit": [1]}, "omit must be a list of strings"),
        ({"metadata_overrides": []}, "metadata_overrides must be an object"),
        ({"invalid_grant_status": 100}, "invalid_grant_status must be a final HTTP status"),
        ({"api_page_size": 0}, "api_page_size must be at least 1"),
        ({"ad_accounts_per_person": 0}, "ad_accounts_per_person must be at least 1"),
        ({"ad_accounts_per_person": 901}, "ad_accounts_per_person must be at most 900"),
        ({"ads_per_ad_set": 1000}, "ads_per_ad_set must be at most 999"),
        ({"first_delivery": "2027-02-30"}, "first_delivery must be a date like 2026-01-31"),
        ({"too_much": "little"}, "too_much must be one of reduce, 1487534"),
        ({"report_outcome": "melts"}, "report_outcome must be one of completes, fails"),
        ({"default_scope": "other"}, r"default_scope has \['other'\]"),
        ({"default_scope": ""}, "default_scope must not be empty"),
    ],
)
def test_changes_that_make_no_sense_are_refused(changes: dict[str, object], problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        changed(Settings(), changes)


def test_every_problem_is_named_at_once() -> None:
    with pytest.raises(SettingsError, match=r"no setting 'a'; rotation must be .*; omit must be"):
        changed(Settings(), {"a": 1, "rotation": 2, "omit": 3})


def test_a_wrong_choice_is_refused_by_the_constructor_too() -> None:
    with pytest.raises(SettingsError, match="rotation must be one of"):
        Settings(rotation="often")  # type: ignore[arg-type]


def test_changes_keep_the_rest() -> None:
    changes: dict[str, object] = {
        "refresh_token_lifetime": 5,
        "omit": ["scope"],
        "token_response_extra": {"a": [1]},
        "require_pkce": False,
        "ads_seed": 3.0,
        "client_id": "x",
    }
    settings = changed(Settings(), changes)
    assert settings == replace(
        Settings(),
        refresh_token_lifetime=5.0,
        omit=("scope",),
        token_response_extra={"a": [1]},
        require_pkce=False,
        ads_seed=3,
        client_id="x",
    )
    assert isinstance(settings.ads_seed, int)
    assert changed(settings, {"refresh_token_lifetime": None}).refresh_token_lifetime is None


def test_settings_survive_the_way_through_json_without_their_secrets() -> None:
    values = as_json(Settings(omit=("scope",)))
    assert not SECRET_SETTINGS & set(values)
    assert changed(Settings(), values) == Settings(omit=("scope",))


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("require_pkce", "No", False),
        ("require_pkce", "on", True),
        ("access_token_lifetime", "2.5", 2.5),
        ("refresh_token_lifetime", "none", None),
        ("refresh_token_lifetime", "7", 7.0),
        ("omit", "scope, expires_in,", ("scope", "expires_in")),
        ("omit", "", ()),
        ("rotation", "lazy", "lazy"),
        ("client_secret", "a:b%é", "a:b%é"),
        ("metadata_overrides", '{"issuer": null}', {"issuer": None}),
    ],
)
def test_settings_are_read_from_text(name: str, text: str, value: object) -> None:
    assert from_text(name, text) == value


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("require_pkce", "maybe", "require_pkce must be yes or no"),
        ("access_token_lifetime", "soon", "access_token_lifetime must be a number"),
        ("access_token_lifetime", "none", "access_token_lifetime must be a number"),
        ("metadata_overrides", "{", "metadata_overrides must be a JSON object"),
        ("metadata_overrides", "[]", "metadata_overrides must be a JSON object"),
    ],
)
def test_text_that_does_not_fit_is_refused(name: str, text: str, problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        from_text(name, text)
