"""The page in a real browser: what is clicked is what is recorded, on a desk and on a phone."""


import numpy as np
import pytest

from exposure_env.photos import Photo, sample_photos
from tests.browsing import SIZES, chromium, noted_page
from tests.preferring import serving

NIGHT = Photo("night", np.zeros((20, 30, 3), np.float32))
MEANS = """() => [...document.querySelectorAll("#pair img")].map((image) => {
  const [width, height] = [image.naturalWidth, image.naturalHeight];
  const context = Object.assign(document.createElement("canvas"), {width, height}).getContext("2d");
  context.drawImage(image, 0, 0);
  const {data} = context.getImageData(0, 0, width, height);
  let sum = 0;
  for (let i = 0; i < data.length; i += 4) sum += data[i] + data[i + 1] + data[i + 2];
  return sum / (data.length / 4 * 3 * 255);
})"""
FITS = """() => [...document.querySelectorAll("#pair img, #skip")].every((element) => {
  const box = element.getBoundingClientRect();
  return box.width > 60 && box.left >= 0 && box.right <= innerWidth && box.top >= 0 && box.bottom <= innerHeight;
}) && document.documentElement.scrollWidth <= innerWidth"""


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture(params=SIZES)
def page(browser, request):
    with noted_page(browser, request.param, 30_000) as page:
        yield page


def ready(page, served, given):
    """Waits for the next pair; the mean brightness of its two images."""
    page.wait_for_function("() => !busy")
    assert page.inner_text("#count") == f"{given} of {served.ballot.number}"
    return page.evaluate(MEANS)


def test_what_is_chosen_is_recorded(page, tmp_path):
    choose = {"left": lambda: page.click("#left"), "right": lambda: page.keyboard.press("ArrowRight"),
              "skip": lambda: page.keyboard.press("s")}
    acts = ["left", "skip", "right", "right", "left"]
    acts = [*zip(acts, [choose[act] for act in acts], strict=True), ("right", lambda: page.click("#right")),
            ("skip", lambda: page.click("#skip")), ("left", lambda: page.keyboard.press("ArrowLeft"))]
    with serving(tmp_path, number=6) as served:
        page.goto(served.url)
        shown, chosen = [], []
        for choice, act in acts:
            means = ready(page, served, len(chosen))
            assert page.evaluate(FITS)
            act()
            if choice != "skip":
                chosen.append(choice)
                shown.append(means)
        page.wait_for_selector("#thanks:visible")
        assert page.inner_text("#count") == "6 of 6" and "All 6 answers are recorded" in page.inner_text("#thanks")
        assert page.is_hidden("#pair") and page.is_hidden("#skip")
        recorded = served.folder.read()
        assert [each.preferred for each in recorded] == chosen
        found = [[side.mean() for side in each[:2]] for each in recorded]
        assert np.abs(np.subtract(found, shown)).max() < 0.02
        page.reload()
        page.wait_for_selector("#thanks:visible")
        assert page.faults == [] and all(url.startswith((served.url, "data:")) for url in page.addresses)


def test_its_parts_have_names_for_those_who_listen(page, tmp_path):
    with serving(tmp_path, photos=sample_photos("test", 1)) as served:
        page.goto(served.url)
        ready(page, served, 0)
        name = sample_photos("test", 1)[0].name
        for letter in "AB":
            assert page.get_by_role("button", name=f"Retouch {letter} of {name}", exact=True).count() == 1
        assert page.get_by_role("button", name="Skip").count() == 1
        assert page.get_by_role("progressbar", name="Answers given").count() == 1
        page.get_by_role("button", name="Retouch A").focus()
        page.keyboard.press("Enter")
        ready(page, served, 1)
        assert page.inner_text("[aria-live=polite]") == "A is recorded." and served.folder.read()[0].preferred == "left"


def test_a_double_click_and_a_held_key_give_one_answer(page, tmp_path):
    with serving(tmp_path) as served:
        page.goto(served.url)
        ready(page, served, 0)
        page.dblclick("#left")
        ready(page, served, 1)
        page.keyboard.down("ArrowRight")
        for _ in range(3):
            page.wait_for_timeout(300)
            page.keyboard.down("ArrowRight")  # repeats
        page.keyboard.press("Control+s")
        ready(page, served, 2)
        assert [each.preferred for each in served.folder.read()] == ["left", "right"]


def test_a_pair_answered_elsewhere_is_passed_over(page, tmp_path):
    with serving(tmp_path) as served:
        page.goto(served.url)
        ready(page, served, 0)
        served.ballot.answer(page.evaluate("shown.token"), "right")
        page.click("#left")
        page.wait_for_function("() => !busy && document.querySelector('#status').textContent.includes('already')")
        page.click("#left")
        ready(page, served, 2)
        assert [each.preferred for each in served.folder.read()] == ["right", "left"]


def test_an_answer_that_did_not_arrive_is_sent_again(page, tmp_path):
    with serving(tmp_path) as served:
        page.goto(served.url)
        ready(page, served, 0)
        page.route("**/answer", lambda route: route.abort())
        page.click("#right")
        page.wait_for_selector("#trouble:visible")
        assert "doesn’t answer" in page.inner_text("[role=alert]")
        page.click("#left")  # not taken now
        page.unroute("**/answer")
        page.click("#again")
        ready(page, served, 1)
        assert page.is_hidden("#trouble") and [each.preferred for each in served.folder.read()] == ["right"]


def test_photos_that_cannot_be_shown_are_named(page, tmp_path):
    with serving(tmp_path, photos=[NIGHT]) as served:
        page.goto(served.url)
        page.wait_for_selector("#trouble:visible")
        assert "None of the photos can be shown." in page.inner_text("#trouble")
        assert "night: its retouches all look the same" in page.inner_text("#left-out")
        served.ballot.pairs = type(served.ballot.pairs)(sample_photos("test", 2), np.random.default_rng(0))
        page.click("#noticed")
        page.click("#again")
        ready(page, served, 0)
        assert page.is_hidden("#left-out") and page.is_hidden("#trouble")


def test_dark_rooms_get_a_dark_page(page, tmp_path):
    with serving(tmp_path) as served:
        grounds = []
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            page.goto(served.url)
            grounds.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        assert grounds == ["rgb(233, 233, 233)", "rgb(32, 32, 32)"]
