"""The page in a real browser: an episode by mouse and by keyboard alone, on a desk and on a phone."""

import io
import re

import numpy as np
import pytest
from PIL import Image

from tests.browsing import SIZES, chromium, noted_page
from tests.playground import Tiles, serving

READY = """() => document.getElementById("game").getAttribute("aria-busy") === "false"
  && document.getElementById("your-score").textContent !== \"\""""
SETTLED = """() => !document.getElementById("total-oracle").textContent.includes("searching")
  && document.getElementById("total-oracle").textContent !== \"\""""
FITS = """() => document.documentElement.scrollWidth <= innerWidth
  && [...document.querySelectorAll("main *, form *")].every((element) => {
    const box = element.getBoundingClientRect();
    return !box.width || (box.left >= -1 && box.right <= innerWidth + 1);
  })"""
OVERLAPS = """() => {
  const shown = [...document.querySelectorAll("button, select, input:not([type=file]), h2, h3, .score, table, .chart")]
    .filter((element) => element.getClientRects().length);
  const boxes = shown.map((element) => element.getBoundingClientRect());
  const found = [];
  boxes.forEach((a, i) => boxes.slice(i + 1).forEach((b, j) => {
    const other = shown[i + 1 + j];
    if (shown[i].contains(other) || other.contains(shown[i])) return;
    const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
    const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
    if (across > 1 && down > 1) found.push(`${shown[i].id || shown[i].tagName} over ${other.id || other.tagName}`);
  }));
  return found;
}"""

NAMELESS = """() => [...document.querySelectorAll("button, select, input")].filter((element) =>
  !(element.textContent.trim() || element.labels?.length || element.getAttribute("aria-label"))).map(({id}) => id)"""


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def served():
    with serving(Tiles()) as served:
        yield served


@pytest.fixture(params=SIZES)
def page(browser, request):
    with noted_page(browser, request.param, 60_000) as page:
        yield page


def opened(page, served, address="#photo=dark&seed=1&reward=psnr"):
    page.goto(f"{served.url}{address}")
    page.wait_for_function(READY)


def moved(page, ev):
    """Moves the slider, and waits for the answer."""
    before = page.get_attribute("#your-image", "src")
    page.fill("#ev", str(ev))
    changed = "(before) => document.getElementById('your-image').getAttribute('src') !== before"
    page.wait_for_function(changed, arg=before)


def scores(page):
    return [float(page.inner_text(f"#{id}").split()[0].replace("−", "-"))
            for id in ("total-untouched", "total-you", "total-rival", "total-oracle")]


def test_an_episode_by_mouse(page, served):
    opened(page, served)
    assert page.inner_text("#segment") == "Segment 1 of 3" and page.is_hidden("#end")
    for step in range(3):
        untouched = page.inner_text("#your-score")
        moved(page, 0.9)
        page.wait_for_function("(before) => document.getElementById('your-score').textContent !== before",
                               arg=untouched)
        assert page.inner_text("#ev-shown") == "+0.9 EV" and page.evaluate(FITS) and page.evaluate(OVERLAPS) == []
        assert page.locator("#curve .mark").count() == 3 and page.locator("#curve .line").count() == 2
        page.click("#confirm")
        page.wait_for_function(READY)
        assert len(re.search(r"evs=([^&]*)", page.url)[1].split(",")) == step + 1
    page.wait_for_function(SETTLED)
    untouched, mine, theirs, oracle = scores(page)
    assert untouched < mine <= oracle + 0.1 and theirs <= oracle + 0.1
    assert page.inner_text("#result") in ("You are ahead.", "The agent is ahead.", "Even.")
    assert page.inner_text("#sheet tbody td.you") == f"{mine:.1f}" == page.inner_text("#sheet tfoot td.you")
    assert page.inner_text("#sheet tbody td:last-child") == f"{oracle:.1f}"
    assert page.evaluate(FITS) and page.evaluate(OVERLAPS) == []
    page.wait_for_function("() => document.getElementById('right-image').naturalWidth > 0")
    page.fill("#divide", "20")
    assert page.evaluate("document.getElementById('right-image').style.clipPath").endswith("20%)")
    page.select_option("#right", "target")
    page.wait_for_function("() => document.getElementById('right-image').src.includes('which=target')")
    page.click("#next")
    page.wait_for_function(READY)
    assert page.is_hidden("#end") and "1 of 10" in page.inner_text("#sheet-hint")
    assert page.faults == [] and all(url.startswith((served.url, "data:")) for url in page.addresses)


def test_an_episode_by_keyboard_alone(page, served):
    opened(page, served)
    for step in range(3):
        assert page.evaluate("document.activeElement.id") == "ev"
        for _ in range(5):
            page.keyboard.press("ArrowRight")
        assert page.inner_text("#ev-shown") == "+0.5 EV" and "EV" in page.get_attribute("#ev", "aria-valuetext")
        page.keyboard.press("Enter")
        page.wait_for_function(READY)
        if step == 1:
            page.keyboard.press("Backspace")
            page.wait_for_function("() => document.getElementById('segment').textContent.includes('2 of 3')")
            page.wait_for_function(READY)
            assert page.inner_text("#ev-shown") == "+0.5 EV"  # offered again
            page.keyboard.press("Enter")
            page.wait_for_function(READY)
    assert "Segment 3 of 3: you +0.5 EV, agent" in page.inner_text("[aria-live=polite]")
    assert page.evaluate("document.activeElement.id") == "result" and "evs=0.5,0.5,0.5" in page.url
    page.wait_for_function(SETTLED)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "next"
    page.keyboard.press("Enter")
    page.wait_for_function(READY)
    page.wait_for_function("() => document.activeElement.id === 'ev'")
    assert page.is_hidden("#end") and page.faults == []


def test_another_reward_and_rival_change_the_page_at_once(page, served):
    opened(page, served)
    curve, theirs = page.get_attribute("#curve .line.you", "d"), page.inner_text("#rival-gain")
    page.select_option("#rival", "greedy")
    page.wait_for_function("() => document.getElementById('rival-name').textContent === 'Greedy'")
    page.wait_for_function(READY)
    assert page.inner_text("#rival-gain") != theirs and "nothing else" in page.inner_text("#rival-hint")
    psnr = page.inner_text("#rival-gain")
    page.select_option("#reward", "mean_luminance")
    page.wait_for_function("() => document.getElementById('curve-title').textContent.includes('Mean luminance')")
    page.wait_for_function(READY)
    assert page.get_attribute("#curve .line.you", "d") != curve and page.inner_text("#rival-gain") != psnr
    assert "reward=mean_luminance&rival=greedy" in page.url and page.faults == []


def test_the_agent_goes_on_and_the_sheet_says_so(page, served):
    opened(page, served, "#photo=dark&seed=3&reward=psnr&evs=0.4")
    assert page.inner_text("#segment") == "Segment 2 of 3"
    page.click("#go-on")
    page.wait_for_selector("#end:visible")
    page.wait_for_function(SETTLED)
    assert re.search(r"evs=0\.4,-?[\d.]+,-?[\d.]+", page.url) and "(with help)" in page.inner_text("#sheet tbody th")
    page.click("#moves tbody tr:nth-child(2) button")
    page.wait_for_function("() => document.getElementById('segment').textContent === 'Segment 2 of 3'")
    assert page.faults == []


def test_segments_can_be_clicked(page, served):
    opened(page, served, "#photo=dark&seed=1&reward=psnr&evs=0.7,0.2")
    for segment, said in {2: None, 0: "Back at segment 1"}.items():
        page.locator(f"#your-outlines [data-segment='{segment}'] path:not(.casing)").click()
        if said:
            page.wait_for_function("() => document.getElementById('status').textContent.includes('Back at segment 1')")
    page.wait_for_function(READY)
    assert page.inner_text("#ev-shown") == "+0.7 EV"
    page.locator("#your-outlines [data-segment='2'] path:not(.casing)").click()
    assert "comes later" in page.inner_text("#status")


def test_the_curve_can_be_kept_secret(page, served):
    opened(page, served)
    page.uncheck("#open")
    assert page.is_hidden("#curve") and "next" not in page.inner_text("#rival-gain") and "blind=1" in page.url
    before = page.inner_text("#your-score")
    moved(page, 1.5)
    assert page.inner_text("#your-score") == before
    page.check("#open")
    assert page.is_visible("#curve") and page.inner_text("#your-score") != before


@pytest.mark.parametrize(("address", "said"), [
    ("#photo=nowhere&seed=1", "There is no photo 'nowhere' here. Another game has begun."),
    ("#photo=own-gone", "This uploaded photo has been forgotten: upload it again. Another game has begun."),
    ("#photo=dark&seed=1&reward=psnr&evs=1,1,1,1,1", "This link doesn’t fit the photo."),
    ("#photo=dark&seed=1&reward=psnr&evs=99", "An EV must be a number from -3 to 3, not 99"),
    ("#photo=dark&seed=1&reward=psnr&evs=x,y", "not 'x'"), ("#photo=dark&seed=abc", "Seed must be an integer"),
    ("#photo=dark&seed=1&reward=psnr&rival=me", "The rival must be one of agent, greedy"),
    ("#photo=plain&reward=psnr", "“psnr” can’t judge this photo"), ("#photo=broken", "Broken: it can't be read"),
    ("#%%%&=&photo", None),
])
def test_a_link_that_makes_no_sense_is_told_and_a_game_begins(page, served, address, said):
    opened(page, served, address)
    if said:
        page.wait_for_selector("#notice:visible")
        assert said in page.inner_text("#notice") and "Traceback" not in page.inner_text("#notice")
        page.click("#dismiss")
    assert page.is_hidden("#notice") and page.inner_text("#segment").startswith("Segment 1 of")
    moved(page, 0.3)


def test_photos_of_ones_own(page, served):
    opened(page, served)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 4, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).resize((400, 300)).save(file, "JPEG")
    for name, content, said in (("text.jpg", b"Dear diary", "This is not a JPEG"), ("empty.png", b"", "empty")):
        page.set_input_files("#file", {"name": name, "mimeType": "image/jpeg", "buffer": content})
        page.wait_for_selector("#trouble:visible")
        assert said in page.inner_text("#trouble")
    page.set_input_files("#file", {"name": "<b>mine.jpg", "mimeType": "image/jpeg", "buffer": file.getvalue()})
    page.wait_for_function("() => document.getElementById('photo').selectedOptions[0].text === 'bmine.jpg'")
    page.wait_for_function(READY)
    assert page.is_hidden("#trouble") and page.is_hidden("#seed-field") and "photo=own-" in page.url
    assert "PSNR" not in page.inner_text("#reward") and page.evaluate(FITS)
    page.reload()
    page.wait_for_function(READY)
    assert page.inner_text("h1") and "bmine.jpg" in page.title()


def test_a_server_that_has_gone_is_told_and_asked_again(page):
    with serving(Tiles()) as served:
        opened(page, served)
        moved(page, 0.6)
        served.stop()
        page.click("#confirm")
        page.wait_for_selector("#trouble:visible")
        assert "The server doesn’t answer" in page.inner_text("[role=alert]:visible")
        page.fill("#ev", "0.8")
        page.wait_for_timeout(300)
        assert page.is_visible("#trouble") and page.inner_text("#segment") == "Segment 1 of 3"
    with serving(Tiles(), served.port):
        page.click("#again")
        page.wait_for_selector("#trouble", state="hidden")
        page.wait_for_function(READY)
        if "evs" not in page.url:
            page.click("#confirm")
        page.wait_for_function("() => document.getElementById('segment').textContent === 'Segment 2 of 3'")


def test_two_students_do_not_disturb_each_other(browser, served):
    contexts = [browser.new_context() for _ in range(2)]
    pages = [context.new_page() for context in contexts]
    for page, ev in zip(pages, (0.5, -0.5), strict=True):
        opened(page, served)
        moved(page, ev)
    for page in pages:
        page.click("#confirm")
        page.wait_for_function(READY)
    assert ["evs=0.5" in pages[0].url, "evs=-0.5" in pages[1].url] == [True, True]
    assert pages[0].inner_text("#your-score") != pages[1].inner_text("#your-score")
    for context in contexts:
        context.close()


def test_dark_rooms_get_a_dark_page_and_everything_has_a_name(page, served):
    grounds = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        opened(page, served)
        grounds.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert grounds == ["rgb(233, 233, 233)", "rgb(32, 32, 32)"]
    assert page.evaluate(NAMELESS) == [] and page.get_by_role("slider", name="Segment 1 of 3").count() == 1
    assert page.get_attribute("#curve", "aria-label").startswith("Best here:")
