"""The page of a run in a browser: it draws, the slider moves the state, nothing is fetched and nothing complained of.

Pictures of the pages are left in out/ (not kept by git).  Skipped where there is no Chromium with its driver.
"""

import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.tokenlaw.pictures.test_plots import compare_file
from tests.tokenlaw.pictures.test_report import circle_file, plane_file
from tokenlaw.pictures.page import write

pytestmark = pytest.mark.slow
PICTURES = Path(__file__).parents[3] / "out"
SECONDS = 60  # that a slow machine may take
FLAGS = ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--use-angle=swiftshader",
         "--enable-unsafe-swiftshader", "--window-size=1100,1000", "--hide-scrollbars")  # fmt: skip


@pytest.fixture(scope="module")
def browser():
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    driver = shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("no Chromium with chromedriver is installed (Debian: apt-get install chromium chromium-driver)")
    selenium = pytest.importorskip(
        "selenium.webdriver", reason="selenium is not installed: pip install 'tokenlaw[browser]'"
    )
    options = selenium.ChromeOptions()
    options.binary_location = chromium
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = selenium.Chrome(options=options, service=selenium.ChromeService(driver))
    yield browser
    browser.quit()


def opened(browser, dataset, folder):
    """Open the page of a dataset and wait until it is drawn."""
    write(dataset, folder / "run.nc", folder / "run.html")
    browser.get((folder / "run.html").as_uri())
    until(browser, "document.body.dataset.ready === 'true'")


def until(browser, condition):
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(browser, SECONDS, poll_frequency=0.05).until(
        lambda b: b.execute_script(f"return {condition}"), condition
    )


def move(browser, step):
    browser.execute_script(
        "const slider = document.getElementById('depth'); slider.value = arguments[0];"
        "slider.dispatchEvent(new Event('input'))", step,
    )  # fmt: skip
    until(browser, f"document.getElementById('scene').dataset.shown === '{step}'")


def picture(browser, name):
    PICTURES.mkdir(exist_ok=True)
    assert browser.save_screenshot(str(PICTURES / f"report_{name}.png"))


def assert_quiet(browser):
    """No error on the console; what the browser advises about the speed of a canvas is no error."""
    assert [
        entry["message"] for entry in browser.get_log("browser") if "willReadFrequently" not in entry["message"]
    ] == []


STATES = {
    "sphere": (compare_file, "Array.from(document.getElementById('scene')._fullData[0].surfacecolor[40].slice(0, 50))"),
    "circle": (circle_file, "Array.from(document.getElementById('scene')._fullData[0].y)"),
    "plane": (plane_file, "Array.from(document.getElementById('scene')._fullData[0].x)"),
}


@pytest.mark.parametrize("kind", STATES)
def test_the_slider_moves_the_state(browser, tmp_path, kind):
    make, state = STATES[kind]
    dataset = make()
    opened(browser, dataset, tmp_path)
    assert browser.execute_script("return document.querySelectorAll('.js-plotly-plot').length") == len(
        browser.execute_script("return Array.from(document.querySelectorAll('.figure')).map(f => f.id)")
    )
    before = browser.execute_script(f"return {state}")
    last = int(browser.execute_script("return Number(document.getElementById('depth').max)"))
    move(browser, last)
    after = browser.execute_script(f"return {state}")
    assert len(after) == len(before)
    assert after != before
    depth = float(dataset["depth_time"].values[-1])
    assert f"{depth:.4g} · record {last + 1} of {last + 1}" in browser.find_element("id", "readout").text
    marks = browser.execute_script(
        "return Array.from(document.querySelectorAll('[data-over-depth=true]')).map(f => f.layout.shapes[0].x0)"
    )
    assert len(marks) >= 2
    assert set(marks) == {depth}
    move(browser, 0)
    assert browser.execute_script(f"return {state}") == before
    move(browser, last)
    picture(browser, kind)
    assert_quiet(browser)


def test_the_sphere_turns_and_tells_its_density(browser, tmp_path):
    dataset = compare_file(2)
    opened(browser, dataset, tmp_path)
    eye = "['x', 'y', 'z'].map(axis => document.getElementById('scene')._fullLayout.scene._scene.getCamera().eye[axis])"
    before = np.array(browser.execute_script(f"return {eye}"))
    browser.find_element("id", "turn").click()
    until(browser, f"Math.hypot({eye}[0] - ({before[0]}), {eye}[1] - ({before[1]})) > 0.01")
    browser.find_element("id", "turn").click()
    after = np.array(browser.execute_script(f"return {eye}"))
    assert np.linalg.norm(after) == pytest.approx(np.linalg.norm(before), rel=1e-6)
    assert after[2] == pytest.approx(before[2])
    browser.execute_script(
        "const scene = document.getElementById('scene'); const fullData = scene._fullData[0];"
        "scene.emit('plotly_hover', {points: [{curveNumber: 0, pointNumber: [7, 0], fullData}]})"
    )
    told = browser.find_element("id", "pointer").text
    at_pole = float(dataset["density"].values[0][0].mean())
    assert float(told.split()[1]) == pytest.approx(at_pole, rel=0.01)
    assert "latitude 90°" in told
    browser.find_element("id", "play").click()
    until(browser, "document.getElementById('scene').dataset.shown === '1'")
    browser.find_element("id", "play").click()
    assert_quiet(browser)
