"""Chromium for the tests of our pages; a module that imports this is skipped where something for it is missing."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

for package in ("starlette", "uvicorn"):
    pytest.importorskip(package, reason='the page needs Starlette and Uvicorn: pip install -e ".[play]"')
playwright = pytest.importorskip("playwright.sync_api", reason="Playwright drives the browser: pip install playwright")

SIZES = {"desk": (1280, 800), "phone": (390, 844)}


@contextmanager
def chromium() -> Iterator[Any]:
    """The browser; skips the test where it can't be started."""
    with playwright.sync_playwright() as started:
        path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
        try:
            browser = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        except playwright.Error as error:
            pytest.skip(f"Chromium can't be started: {error.message.splitlines()[0]}")
        yield browser
        browser.close()


@contextmanager
def noted_page(browser: Any, size: str, timeout: int) -> Iterator[Any]:
    """A new page of one of `SIZES`, whose errors and requests are noted; it waits so many milliseconds at most."""
    width, height = SIZES[size]
    phone = size == "phone"
    context = browser.new_context(viewport={"width": width, "height": height}, is_mobile=phone, has_touch=phone)
    page = context.new_page()
    page.set_default_timeout(timeout)
    page.faults, page.addresses = [], []
    page.on("console", lambda message: page.faults.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    page.on("request", lambda sent: page.addresses.append(sent.url))
    yield page
    context.close()
