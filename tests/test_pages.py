"""Pages for people: whole or not there, with an address that opens them."""

from pathlib import Path

from lakegate.pages import save_page
from lakegate.settings import Settings


def test_a_page_has_the_address_of_the_page_server_or_of_its_file(tmp_path: Path) -> None:
    served = Settings(home=tmp_path, reports_url="http://127.0.0.1:4280/")
    page = save_page(served, "cells/matrix.html", "<!doctype html>")
    assert page.url == "http://127.0.0.1:4280/cells/matrix.html"
    assert page.path.read_text() == "<!doctype html>"
    assert save_page(Settings(home=tmp_path), "cells/matrix.html", "new").url.startswith("file:///")
    assert [path.name for path in page.path.parent.iterdir()] == ["matrix.html"]
