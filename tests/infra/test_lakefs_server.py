import requests

from lakegate.settings import Settings


def test_the_fixture_leads_to_a_server_that_accepts_its_key(settings: Settings) -> None:
    key = (settings.lakefs_access_key_id, settings.lakefs_secret_access_key.get_secret_value())
    answer = requests.get(f"{settings.lakefs_endpoint}/api/v1/repositories", auth=key, timeout=60)
    assert answer.status_code == 200 and "results" in answer.json()
