"""lakegate/settings.py: the environment first, then the state folder."""

import json
import os

import pytest

from lakegate.errors import SetupProblem
from lakegate.settings import LAKEFS_SECRET_FILE, STACK_FILE, Settings, find_checkout


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """An empty checkout, with no LAKEGATE_* variable but the one that leads to it."""
    for name in [name for name in os.environ if name.startswith("LAKEGATE_")]:
        monkeypatch.delenv(name)
    root = tmp_path.resolve() / "checkout"
    for folder in ("datasets", "models", "lakegate/lake", ".lakegate/secrets"):
        (root / folder).mkdir(parents=True)
    monkeypatch.chdir(root / "lakegate" / "lake")
    return root


def write_state(checkout, stack, secret):
    (checkout / ".lakegate" / STACK_FILE).write_text(json.dumps(stack))
    (checkout / ".lakegate" / LAKEFS_SECRET_FILE).write_text(json.dumps(secret))


def test_the_checkout_is_found_from_a_folder_inside_it(checkout):
    settings = Settings.load()
    assert settings.checkout == checkout
    assert settings.home == checkout / ".lakegate"
    assert settings.cache_dir == checkout / ".lakegate" / "cache"


def test_a_folder_without_declarations_above_it_is_taken_as_it_is(tmp_path):
    assert find_checkout(tmp_path) == tmp_path.resolve()


def test_what_the_state_folder_says_is_used(checkout):
    write_state(
        checkout,
        {"lakefs_endpoint": "http://127.0.0.1:8123", "prefect_api_url": None},
        {"access_key_id": "AKIA", "secret_access_key": "s3cret"},
    )
    settings = Settings.load()
    settings.require_lakefs()
    assert settings.lakefs_endpoint == "http://127.0.0.1:8123"
    assert settings.lakefs_secret_access_key.get_secret_value() == "s3cret"
    assert settings.prefect_api_url == ""


def test_the_environment_wins_over_the_state_folder(checkout, monkeypatch):
    write_state(checkout, {"lakefs_endpoint": "http://127.0.0.1:8123"}, {"access_key_id": "AKIA", "secret_access_key": "s3"})
    monkeypatch.setenv("LAKEGATE_LAKEFS_ENDPOINT", "https://lakefs.example.com")
    monkeypatch.setenv("LAKEGATE_LAKEFS_ACCESS_KEY_ID", "AKIB")
    monkeypatch.setenv("LAKEGATE_LAKEFS_SECRET_ACCESS_KEY", "other")
    settings = Settings.load()
    assert (settings.lakefs_endpoint, settings.lakefs_access_key_id) == ("https://lakefs.example.com", "AKIB")
    assert settings.lakefs_secret_access_key.get_secret_value() == "other"


def test_a_secret_is_not_shown_when_settings_are_printed(checkout):
    write_state(checkout, {}, {"access_key_id": "AKIA", "secret_access_key": "s3cret"})
    assert "s3cret" not in repr(Settings.load())


def test_keys_of_the_team_and_of_this_machine_are_trusted(checkout):
    assert Settings.load().trusted_key_dirs == (checkout / "deployments" / "keys", checkout / ".lakegate" / "keys")


@pytest.mark.usefixtures("checkout")
def test_without_a_server_the_message_says_how_to_get_one():
    with pytest.raises(SetupProblem, match=r"start one with `lakegate up`, or set LAKEGATE_LAKEFS_ENDPOINT"):
        Settings.load().require_lakefs()


@pytest.mark.parametrize(("text", "message"), [("{", "is not JSON"), ("[]", "holds no table of settings")])
def test_a_broken_state_file_is_named(checkout, text, message):
    (checkout / ".lakegate" / STACK_FILE).write_text(text)
    with pytest.raises(SetupProblem, match=message) as raised:
        Settings.load()
    assert STACK_FILE in str(raised.value)


def test_sample_images_are_looked_for_beside_the_checkout(checkout, monkeypatch):
    assert Settings.load().samples == checkout.parent / "shared" / "data"
    monkeypatch.setenv("LAKEGATE_SAMPLES", str(checkout / "own"))
    assert Settings.load().samples == checkout / "own"
