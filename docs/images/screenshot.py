"""Makes `screenshot.png` beside this file: an answer, and the passage that one of its citations opens.

Needs Chromium, and the server over the sample documents (`make run`):

    .venv/bin/python docs/images/screenshot.py http://127.0.0.1:8000
"""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path
from urllib.parse import urlencode

from PIL import Image
from playwright.sync_api import sync_playwright

QUESTION = "How do I replay Kafka events for a topic?"
CITATION = 3
TARGET = Path(__file__).with_name("screenshot.png")
CHROMIUM = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


def take(url: str) -> bytes:
    """The page as PNG, 1280 x 800."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM)
        page = browser.new_page(viewport={"width": 1280, "height": 800}, locale="en-GB", reduced_motion="reduce")
        page.goto(f"{url}/?{urlencode({'q': QUESTION, 'view': 'ask'})}")
        page.wait_for_selector(".answer-foot")
        page.click(f".cite[data-n='{CITATION}']")
        page.wait_for_selector("#reader mark")
        picture = page.screenshot()
        browser.close()
        return picture


def main() -> None:
    picture = Image.open(io.BytesIO(take(sys.argv[1].rstrip("/"))))
    picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(TARGET, optimize=True)


if __name__ == "__main__":
    main()
