"""The report in a real browser, opened from the disk: on a desk and on a phone, in light and in dark."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agents.benchmark.report import write_report
from tests.benchmark.reports import changed, copied
from tests.browsing import SIZES, chromium, noted_page

LOADED = """() => {
  for (const image of document.images) image.loading = "eager";
  return Promise.all([...document.images].map((image) => image.decode()));
}"""
BROKEN = """() => [...document.images].filter((image) =>
  !image.hasAttribute("alt") || (image.getClientRects().length && !image.naturalWidth)).map((image) => image.src)"""
NAMELESS = """() => [...document.querySelectorAll("select, input")].filter((element) =>
  !(element.labels?.length || element.getAttribute("aria-label"))).length"""
FAINT = """() => {  // texts that stand out from what is behind them by less than 4.5 to 1
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = (color) => {
    const [r, g, b] = rgba(color).map((level) => level / 255)
      .map((level) => level <= .04045 ? level / 12.92 : ((level + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const behind = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const color = getComputedStyle(each).backgroundColor;
      if (rgba(color)[3] > 128) return color;
    }
    return "white";
  };
  const found = new Set(), walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.getClientRects().length || element.closest("svg, .mark")) continue;
    const pair = [getComputedStyle(element).color, behind(element)].map(light).sort((a, b) => b - a);
    if ((pair[0] + .05) / (pair[1] + .05) < 4.5) found.add(`${element.tagName}.${element.className}`);
  }
  return [...found];
}"""


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def report(done, tmp_path_factory) -> Path:
    """A report of five systems and one with a long and hostile name, as a system that has no pictures."""
    folder = tmp_path_factory.mktemp("reports")
    benchmark = copied(done, folder / "cells")
    name = "<script>alert(1)</script> and so on, and so on and on, without an end to it"
    changed(folder / "cells" / "II-seed0.json", folder / "cells" / "odd-seed0.json", method=name)
    (folder / "cells" / "odd-seed0.pictures").unlink()
    return write_report(benchmark, folder / "report").parent


@pytest.fixture(params=SIZES)
def page(browser, request):
    with noted_page(browser, request.param, 30_000) as page:
        yield page
        assert page.faults == []
        assert page.addresses and all(address.startswith(("file://", "data:")) for address in page.addresses)


def opened(page, path):
    page.goto(path.as_uri())
    page.evaluate(LOADED)


def looks(element):
    return np.asarray(Image.open(io.BytesIO(element.screenshot())).convert("RGB")).astype(int)


def test_every_page_loads_whole_and_fits_its_window(page, report):
    for path in sorted(report.glob("*.html")):
        opened(page, path)
        width = page.viewport_size["width"]
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path.name
        page.evaluate("window.scrollTo(500, 0)")
        assert page.evaluate("window.scrollX") == 0, path.name
        assert page.evaluate(BROKEN) == [] and page.evaluate(NAMELESS) == 0, path.name


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out(page, report, scheme):
    page.emulate_media(color_scheme=scheme)
    for name in ("index.html", "system-ii.html", "photograph-0.html"):
        path = report / name if (report / name).exists() else sorted(report.glob("photograph-*.html"))[0]
        opened(page, path)
        page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        assert page.evaluate(FAINT) == [], name
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (int(ground.split("(")[1].split(",")[0]) < 128) == (scheme == "dark")


def test_the_slider_goes_from_the_result_to_the_target(page, report):
    opened(page, report / "system-best-single-ev.html")
    case = page.locator(".case").first
    stage, slider = case.locator(".compare"), case.locator("input[type=range]")
    target = looks(case.locator("figure").nth(3).locator("img"))
    result = looks(stage)
    slider.focus()
    page.keyboard.press("Home")
    assert slider.input_value() == "0"
    ours = looks(stage)
    assert ours.shape == target.shape and abs(ours - target)[:, 4:].mean() < 2  # but for the line
    assert abs(ours - result).mean() > 2
    for _ in range(30):
        page.keyboard.press("ArrowRight")
    between, cut = looks(stage), round(0.3 * ours.shape[1])
    assert abs(between - result)[:, : cut - 4].mean() < 2 and abs(between - ours)[:, cut + 4 :].mean() < 2
    box = stage.bounding_box()
    at = box["x"] + 0.8 * box["width"], box["y"] + box["height"] / 2
    if page.evaluate("navigator.maxTouchPoints > 0"):
        page.touchscreen.tap(*at)
        assert int(slider.input_value()) == pytest.approx(80, abs=2)
    page.mouse.move(*at)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.5 * box["width"], at[1], steps=4)
    assert int(slider.input_value()) == pytest.approx(50, abs=2)
    page.mouse.up()
    page.mouse.move(*at)
    assert int(slider.input_value()) == pytest.approx(50, abs=2)
    page.get_by_label("Slider").select_option("input | result")
    right = slice(ours.shape[1] // 2 + 4, None)
    again = looks(stage)[:, right]  # elsewhere in the window, perhaps by a part of a pixel
    assert abs(again - result[:, right]).mean() < abs(again - target[:, right]).mean() / 2


def test_from_the_ranking_down_to_a_photograph(page, report):
    opened(page, report / "index.html")
    page.locator(".ranking").get_by_role("link", name="II", exact=True).click()
    page.wait_for_url("**/system-ii.html")
    assert page.get_by_role("heading", level=1).inner_text() == "II"
    case = page.locator(".case").first.get_by_role("heading").get_by_role("link")
    name, _, _ = case.inner_text().partition(", crop ")
    case.click()
    page.wait_for_url("**/photograph-*.html#photo-*")
    assert page.get_by_role("heading", level=1).inner_text() == name
    assert page.locator("section:target .results li").count() == 6
    chosen = page.locator("section:target .slider")
    before = looks(chosen.locator(".stage"))
    chosen.get_by_label("left").select_option("input")
    chosen.get_by_label("right").select_option("paired")
    page.evaluate(LOADED)
    assert abs(looks(chosen.locator(".stage")) - before).mean() > 1
    page.get_by_role("link", name="uneven-v1").click()
    page.wait_for_url("**/index.html")


def test_photos_come_worst_first_or_best_or_by_difference(page, report):
    opened(page, report / "system-ii.html")

    def values(name):
        return [float(case.get_attribute(f"data-{name}")) for case in page.locator(".case").all()]

    gains = values("gain")
    assert gains == sorted(gains) and len({*gains}) > 2
    page.get_by_label("Order").select_option("best")
    assert values("gain") == sorted(gains, reverse=True)
    page.get_by_label("Order").select_option("differs")
    assert values("differs") == sorted(values("differs"), reverse=True)
    page.reload()
    chosen, shown = page.get_by_label("Order").input_value(), values("gain")
    assert shown == sorted(gains, reverse=chosen == "best") or chosen == "differs"


def test_without_scripts_everything_is_still_there(browser, report):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((report / "system-ii.html").as_uri())
    case = page.locator(".case").first
    assert [image.is_visible() for image in case.locator(".compare img").all()] == [True] * 3
    assert not case.locator("input").is_visible() and not page.get_by_label("Order").is_visible()
    context.close()
