"""Chromium at the size of a phone's screen, for tests of pages and emails."""

import os
import shutil
from collections.abc import Iterator

import pytest
from selenium import webdriver


@pytest.fixture(scope="session")
def _chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """One headless Chromium for all tests of this process: each start of it takes seconds."""
    binary = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if not (binary and driver):
        # The README promises `make test` to a machine without a browser; CI has one, and must.
        needed = "Chromium and its driver: `apt-get install chromium chromium-driver`"
        assert not os.environ.get("CI"), f"CI needs {needed}"
        pytest.skip(f"it needs {needed}")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--window-size=390,844",
        f"--user-data-dir={tmp_path_factory.mktemp('chromium')}",
    ):
        options.add_argument(argument)
    chromium = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield chromium
    chromium.quit()


@pytest.fixture
def browser(_chromium: webdriver.Chrome) -> Iterator[webdriver.Chrome]:
    """Chromium with a new tab, to which emulated devices and media are limited. Without one, the test is skipped.

    In CI, it fails.
    """
    first = _chromium.current_window_handle
    _chromium.switch_to.new_window("tab")
    _chromium.get_log("browser")  # type: ignore[no-untyped-call]  # of earlier tests
    yield _chromium
    _chromium.delete_all_cookies()
    _chromium.close()
    _chromium.switch_to.window(first)
