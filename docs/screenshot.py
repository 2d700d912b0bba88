"""Makes the README's pictures from the running app.

    python docs/screenshot.py http://127.0.0.1:8501 TRACK_ID

The data folder holds the demo library with its discovery done and its map drawn; TRACK_ID is the query that is shown.
"""

import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
HERE = Path(__file__).parent


def main(url: str, track_id: str) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1440, "height": 1420})
        left_out = "not=brightness&not=texture&not=warmth"
        page.goto(f"{url}/Listen?library=demo&query={track_id}&{left_out}")
        page.get_by_role("button", name="Play", exact=True).first.click(timeout=60_000)
        page.wait_for_timeout(6_000)
        page.locator("section.player").first.get_by_role("radio").nth(1).click()
        page.mouse.move(5, 5)
        page.evaluate("document.querySelector('[data-testid=stMain]').scrollTo(0, 0)")
        page.wait_for_timeout(1_500)
        page.screenshot(path=HERE / "listen.png")

        page = browser.new_page(viewport={"width": 1400, "height": 1450})
        page.goto(f"{url}/Layers?library=demo")
        mark = page.locator(".js-plotly-plot").first.locator(".barlayer .points path").nth(12 * 13 + 4)
        mark.wait_for(timeout=60_000)
        page.wait_for_timeout(1_000)
        box = mark.bounding_box()
        page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.locator(".js-plotly-plot").nth(2).wait_for()
        page.mouse.move(5, 5)
        page.wait_for_timeout(2_000)
        page.screenshot(path=HERE / "layers.png")

        page = browser.new_page(viewport={"width": 1400, "height": 5000})
        page.goto(f"{url}/Layers?library=demo")
        page.get_by_text("Details: what a search by each aspect finds").click(timeout=60_000)
        page.wait_for_timeout(3_000)
        page.locator(".js-plotly-plot").nth(1).screenshot(path=HERE / "leak.png")

        page = browser.new_page(viewport={"width": 1400, "height": 980})
        page.goto(f"{url}/For_You?library=demo&listener=Wen+(simulated)")
        page.locator("section.player .row .score").nth(9).wait_for(timeout=60_000)
        page.mouse.move(5, 5)
        page.wait_for_timeout(4_000)
        page.screenshot(path=HERE / "for_you.png")

        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.goto(f"{url}/Map?library=demo&query={track_id}")
        page.locator("section.map[data-ready]").wait_for(timeout=60_000)
        page.wait_for_timeout(3_000)
        page.screenshot(path=HERE / "map.png")

        page = browser.new_page(viewport={"width": 1400, "height": 3200})
        page.goto(f"{url}/Listen?library=demo&query={track_id}")
        heading = page.get_by_role("heading", name="The same passage by others")
        heading.wait_for(timeout=60_000)
        page.wait_for_timeout(4_000)
        top = heading.bounding_box()
        bottom = page.locator(".js-plotly-plot").last.bounding_box()
        left, width = top["x"] - 20, bottom["width"] + 40
        clip = {"x": left, "y": top["y"] - 12, "width": width, "height": bottom["y"] + bottom["height"] - top["y"] + 20}
        page.screenshot(path=HERE / "passage.png", clip=clip)
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
