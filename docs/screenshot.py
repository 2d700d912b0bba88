"""Makes docs/listen.png from the running app: `python docs/screenshot.py URL_OF_LISTEN_WITH_A_QUERY`."""

import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]

with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
    page = browser.new_page(viewport={"width": 1400, "height": 1330})
    page.goto(sys.argv[1])
    page.get_by_role("button", name="Play").wait_for(timeout=60_000)
    page.get_by_role("button", name="Play").click()
    page.wait_for_timeout(6_000)
    page.get_by_role("radio", name="#1").click()
    page.wait_for_timeout(1_500)
    page.screenshot(path=Path(__file__).parent / "listen.png")
    browser.close()
