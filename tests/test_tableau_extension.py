"""The refresh extension: its manifest, and its page in Chromium with a stand-in for Tableau's library.

    make_extension.py -> XSD; the built page, served under the server's policy, with a fake `tableau` -> what it calls

The stand-in has the parts of the API that the page uses; that they exist so is checked by Tableau's own types when
the page is built. Tableau itself is not there.
"""

from __future__ import annotations

import functools
import http.server
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from harness.programs import ROOT, wait_until
from harness.tableau_schemas import objections, schema

TABLEAU = ROOT / "tableau"
# Two sheets on one live source, one of them also on an extract; a source that fails when it is told to.
STAND_IN = """
window.calls = [];
window.failing = false;
window.slow = null;
const source = (id, isExtract) => ({ id, isExtract, refreshAsync: async () => {
  window.calls.push("refresh " + id);
  if (window.failing) throw new Error("no permission");
  if (window.slow) await window.slow;
} });
const live = source("live", false), extract = source("extract", true);
window.tableau = { extensions: {
  initializeAsync: async () => { window.calls.push("initialize"); },
  environment: { language: "fr", mode: new URLSearchParams(location.search).get("mode") ?? "authoring" },
  settings: {
    get: (key) => new URLSearchParams(location.search).get(key) ?? undefined,
    set: (key, value) => { window.calls.push(`set ${key} ${value}`); },
    saveAsync: async () => { window.calls.push("save"); },
  },
  dashboardContent: { dashboard: { worksheets: [
    { getDataSourcesAsync: async () => [live, extract] }, { getDataSourcesAsync: async () => [live] },
  ] } },
} };
"""


def policy() -> str:
    """What the server sends with the page, from its source."""
    source = (ROOT / "dashboard" / "src" / "web" / "mod.rs").read_text(encoding="utf-8")
    return re.sub(r"\\\n\s*", "", re.search(r'FRAMED_POLICY: &str = "([^"]*)"', source)[1])


class Served(http.server.SimpleHTTPRequestHandler):
    """/tableau/<name> is tableau-<name> of a folder, as in the dashboard server."""

    def translate_path(self, path: str) -> str:
        name = path.split("?", maxsplit=1)[0].removeprefix("/tableau/")
        return str(Path(self.directory) / f"tableau-{name}")

    def end_headers(self) -> None:
        self.send_header("Content-Security-Policy", policy())
        super().end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def address(page_folder: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The page, with the stand-in unless the test is about its absence."""
    library = page_folder / "tableau-extensions.js"
    if "without_library" not in request.keywords:
        library.write_text(STAND_IN, encoding="utf-8")
    handler = functools.partial(Served, directory=str(page_folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/tableau/refresh.html"
        server.shutdown()
    library.unlink(missing_ok=True)


@pytest.fixture
def tab(browser: Browser) -> Iterator[Page]:
    """A tab whose clock the test holds; a complaint of the browser fails the test."""
    context = browser.new_context(locale="en-GB")
    page = context.new_page()
    page.clock.install()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    context.close()
    assert complaints == []


def refreshes(tab: Page) -> int:
    """How often the live source was refreshed; the extract never is."""
    calls = tab.evaluate("window.calls")
    assert "refresh extract" not in calls
    return calls.count("refresh live")


def test_it_refreshes_each_live_source_once_a_minute(address, tab):
    tab.goto(address)
    expect(tab.locator("#interval")).to_have_value("60")
    assert refreshes(tab) == 0
    for minute in (1, 2, 3):
        tab.clock.run_for(60_100)
        expect(tab.locator("#state")).to_contain_text("Actualisé à")
        assert refreshes(tab) == minute
    # AND at once by the button
    tab.get_by_role("button", name="Maintenant").click()
    wait_until(lambda: refreshes(tab) == 4, "a refresh")


def test_a_slow_refresh_is_not_overtaken(address, tab):
    tab.goto(f"{address}?interval_s=15")
    expect(tab.locator("#interval")).to_have_value("15")
    tab.evaluate("void (window.slow = new Promise((done) => { window.finish = done; }))")
    tab.clock.run_for(15_100)
    assert refreshes(tab) == 1
    tab.clock.run_for(120_000)
    tab.get_by_role("button", name="Maintenant").click()
    assert refreshes(tab) == 1
    # WHEN it has ended THEN the next one comes after the interval
    tab.evaluate("window.slow = null; window.finish()")
    expect(tab.locator("#state")).to_contain_text("Actualisé à")
    tab.clock.run_for(15_100)
    wait_until(lambda: refreshes(tab) == 2, "a refresh")


def test_a_failure_is_said_and_tried_again(address, tab):
    tab.goto(address)
    expect(tab.locator("#interval")).to_be_visible()
    tab.evaluate("window.failing = true")
    tab.clock.run_for(60_100)
    expect(tab.locator("#state")).to_have_text("Échec : no permission")
    tab.evaluate("window.failing = false")
    tab.clock.run_for(60_100)
    expect(tab.locator("#state")).to_contain_text("Actualisé à")
    assert refreshes(tab) == 2


@pytest.mark.parametrize(("mode", "kept"), [("authoring", True), ("viewing", False)])
def test_an_author_keeps_the_interval_in_the_workbook(mode, kept, address, tab):
    tab.goto(f"{address}?mode={mode}")
    tab.locator("#interval").select_option("300")
    tab.clock.run_for(299_000)
    assert refreshes(tab) == 0
    tab.clock.run_for(2_000)
    wait_until(lambda: refreshes(tab) == 1, "a refresh")
    assert (tab.evaluate("window.calls")[1:3] == ["set interval_s 300", "save"]) == kept
    # AND by hand means by hand
    tab.locator("#interval").select_option("0")
    tab.clock.run_for(3_600_000)
    assert refreshes(tab) == 1


@pytest.mark.without_library
def test_without_tableaus_library_the_page_says_what_to_do(address, browser):
    context = browser.new_context(locale="fr-FR")
    page = context.new_page()
    page.goto(address)
    expect(page.locator("#state")).to_contain_text("make tableau-extension")
    expect(page.locator("#choices")).to_be_hidden()
    context.close()


def test_the_manifest_is_valid_and_names_the_page(tmp_path):
    def make(*arguments: str, code: int = 0) -> str:
        command = [sys.executable, str(TABLEAU / "make_extension.py"), "--to", str(tmp_path / "x.trex"), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == code, done.stderr
        return done.stderr

    make()
    content = (tmp_path / "x.trex").read_bytes()
    assert content == (TABLEAU / "lake-refresh.trex").read_bytes(), "run `make workbook`"
    # The schema describes manifests inside of workbooks, where they have no namespace.
    plain = re.sub(rb' xmlns="[^"]*"', b"", content)
    for version in ("2026.1", "2026.2"):
        assert objections(schema(version), plain) == []
        assert objections(schema(version), plain.replace(b"full data", b"all data")) != []
    make("--url", "https://lake.example/")
    assert b"<url>https://lake.example/tableau/refresh.html</url>" in (tmp_path / "x.trex").read_bytes()
    assert "https" in make("--url", "http://lake.example", code=1)


def test_the_library_is_checked(tmp_path):
    clone = tmp_path / "clone"
    (clone / "lib").mkdir(parents=True)
    (clone / "LICENSE").write_text("MIT")
    (clone / "lib" / "tableau.extensions.1.14.0.min.js").write_text("not Tableau's")
    command = [str(ROOT / "dashboard" / "page" / "tableau-library"), str(tmp_path / "page"), str(clone)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode != 0
    assert "FAILED" in done.stdout + done.stderr
    assert not (tmp_path / "page").exists()
