"""The system's Chromium, driven by Playwright; its own download is not needed."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import Browser, async_playwright

PATH = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A fresh Chromium with a profile of its own."""
    assert PATH is not None
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=str(Path(PATH)), args=list(_FLAGS))
        try:
            yield browser
        finally:
            await browser.close()
