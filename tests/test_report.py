"""opgen report: one page that needs nothing else, for every kind of operator, as a browser shows it."""

from __future__ import annotations

import dataclasses
import importlib.util
import itertools
import re
import shutil
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from opgen.cli import main
from opgen.report import measure
from opgen.report.drawing import COLOURS
from opgen.report.operator import Operator, open_operator
from opgen.report.sample import draw, fit

pytestmark = pytest.mark.compiler
ROOT = Path(__file__).parent.parent
RESIDUALS = """
import sympy as sp
import opgen

M, e, E, R, c = sp.symbols("M e E R c", real=True)
a, b, p, q = sp.symbols("a b p q", real=True)
i, j = sp.symbols("i j", cls=sp.Idx)
n = sp.Symbol("n", integer=True)
u, f, A, z, x = map(sp.IndexedBase, ("u", "f", "A", "z", "x"))
h = sp.Symbol("h", positive=True)

orbit = opgen.Implicit(
    residual=E - e * sp.sin(E) - M,
    unknown=E,
    inputs=[M, e],
    guess=M,
    sample={M: (0, 6), e: (0.05, 0.9)},
    auxiliary={"r": 1 - e * sp.cos(E)},
    doc="Kepler's equation, <b>bold & \\"quoted\\"</b>.",
)
pair = opgen.Implicit(
    residual=[p + q - a, p * q - b],
    unknown=[p, q],
    inputs=[a, b],
    guess={p: a, q: 0},
    sample={a: (4, 5), b: (1, 2)},
)
height = opgen.Explicit({"s": R - sp.sqrt(R**2 - c**2 / 4)}, inputs=[R, c], sample={R: (1, 2), c: (0.5, 1)})
rod = opgen.Implicit(
    residual=(2 * u[i] - u[i - 1] - u[i + 1]) / h**2 + u[i] ** 3 - f[i],
    unknown=u,
    inputs=[f, h],
    boundary={u: opgen.Dirichlet(0)},
    sample={f: (-1, 1), h: (0.05, 0.1)},
)
plate = opgen.Implicit(
    residual=4 * u[i, j] - u[i - 1, j] - u[i + 1, j] - u[i, j - 1] - u[i, j + 1] + u[i, j] ** 3 - f[i, j],
    unknown=u,
    inputs=[f],
    boundary={u: opgen.Dirichlet(0)},
    sample={f: (-1, 1)},
)
layer = opgen.Implicit(
    residual=z[i] - sp.tanh(sp.Sum(A[i, j] * z[j], (j, 0, n - 1)) + x[i]),
    unknown=z,
    inputs=[A, x],
    sample={A: (-0.1, 0.1), x: (-1, 1)},
)
root = opgen.Implicit(residual=E**2 - M, unknown=E, inputs=[M], guess=1, sample={M: (0.1, 4)})
"""
NAMES = ("orbit", "pair", "height", "rod", "plate", "layer", "root")
SAMPLES = {
    "orbit": ((0, 6), (0.05, 0.9)),
    "pair": ((4, 5), (1, 2)),
    "height": ((1, 2), (0.5, 1)),
    "rod": ((-1, 1), (0.05, 0.1)),
    "plate": ((-1, 1),),
    "layer": ((-0.1, 0.1), (-1, 1)),
    "root": ((0.1, 4),),
}
# Elements that HTML closes by itself.
VOID = {"meta", "link", "br", "img"}


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build all of them, for NumPy and, where it is there, for PyTorch."""
    folder = tmp_path_factory.mktemp("work")
    (folder / "laws.py").write_text(RESIDUALS)
    targets = "numpy,torch" if importlib.util.find_spec("torch") else "numpy"
    assert main(["build", str(folder / "laws.py"), "-o", str(folder / "generated"), "--target", targets]) == 0
    return folder


@pytest.fixture(scope="module")
def pages(work: Path) -> dict[str, Path]:
    """Write all pages."""
    for name in NAMES:
        words = ("--from", str(work / "generated"), "--plots", str(work / "plots" / name))
        assert main(["report", name, *words]) == 0
    return {name: work / "generated" / f"{name}-report.html" for name in NAMES}


def operator(work: Path, name: str) -> Operator:
    return fit(open_operator(work / "generated" / name, name), SAMPLES[name])


class Outline(HTMLParser):
    """What a page consists of; complains of what is not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style"} & set(self.open):
            self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_page_needs_nothing_else(pages: dict[str, Path], name: str) -> None:
    text = pages[name].read_text(encoding="utf-8")
    page = Outline(text)
    assert not page.all("script")
    assert [a["href"] for a in page.all("link")] == ["data:,"]
    names = ("http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink", "http://www.w3.org/1998/Math/MathML")
    loaded = re.findall(
        r"(?:src|href|url)\s*[=(]\s*[\"']?([^\"')\s>]+)", re.sub(r"<pre.*?</pre>", "", text, flags=re.DOTALL)
    )
    assert not [link for link in loaded if not link.startswith(("#", "data:")) and link not in names]
    assert "@import" not in text


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_page_is_sound_and_accessible(pages: dict[str, Path], name: str) -> None:
    page = Outline(pages[name].read_text(encoding="utf-8"))
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    anchors = {(a["href"] or "")[1:] for tag, a in page.tags if tag == "a"}
    assert anchors <= set(ids)
    for drawing in page.all("svg"):
        assert drawing["role"] == "img"
        assert set((drawing["aria-labelledby"] or "").split()) <= set(ids)
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert page.all("html")[0]["lang"] == "en"
    assert len(page.all("math")) >= 3
    wanted = 4 if name == "height" else 5
    assert len(page.all("svg")) >= wanted


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_page_says_what_was_found(pages: dict[str, Path], work: Path, name: str) -> None:
    text = "".join(Outline(pages[name].read_text(encoding="utf-8")).text)
    for stage in ("load", "analyse", "lower", "render", "write", "plan", "build"):
        assert re.search(rf"\b{stage} → ", text)
    kinds = {"rod": "field", "plate": "field", "layer": "dense", "height": "explicit"}
    assert kinds.get(name, "pointwise") in text
    for section in ("Mathematics", "Solution", "Failures", "Derivatives", "Speed", "Sources"):
        assert section in text
    assert ("Convergence" in text) == (name != "height")
    for path in (work / "generated" / name / "src").iterdir():
        assert path.read_text() in text, path
    if importlib.util.find_spec("torch"):
        assert "Two ways to the same gradient" in text


@pytest.mark.slow
def test_text_of_the_user_is_text(pages: dict[str, Path]) -> None:
    text = pages["orbit"].read_text(encoding="utf-8")
    assert "<b>bold" not in text
    assert 'Kepler\'s equation, <b>bold & "quoted"</b>.' in "".join(Outline(text).text)


@pytest.mark.slow
def test_plots_are_files_too(pages: dict[str, Path], work: Path) -> None:
    for name, page in pages.items():
        folder = work / "plots" / name
        drawings = re.findall(r'<title id="plot-([\w-]+)-title"', page.read_text(encoding="utf-8"))
        assert drawings
        assert {path.name for path in folder.iterdir()} == {f"{d}.{kind}" for d in drawings for kind in ("svg", "png")}
        for path in folder.glob("*.png"):
            assert path.read_bytes().startswith(b"\x89PNG")
            assert path.stat().st_size > 5000
        for path in folder.glob("*.svg"):
            assert "#010203" not in path.read_text()


@pytest.mark.parametrize("name", NAMES)
def test_taylor_rates(work: Path, name: str) -> None:
    found = measure.taylor(operator(work, name), SAMPLES[name])
    assert found is not None
    for rate, expected in zip(found.rates, (1, 2, 3), strict=True):
        assert rate == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize("name", ["orbit", "rod"])
def test_taylor_sees_a_wrong_gradient(work: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One per cent is enough to lose an order."""
    right = Operator.adjoint
    monkeypatch.setattr(Operator, "adjoint", lambda *given: [1.01 * g for g in right(*given)])
    found = measure.taylor(operator(work, name), SAMPLES[name])
    assert found is not None
    first, second, third = found.rates
    assert first == pytest.approx(1, abs=0.25)
    assert second is not None
    assert second < 1.6
    assert third is not None
    assert third < 1.6


def test_derivatives_are_those_of_the_kernel(work: Path) -> None:
    orbit = operator(work, "orbit")
    x = draw(orbit, SAMPLES["orbit"], 50)
    E, r = orbit.values(x)
    by_M, by_e = orbit.adjoint(x, [E, r], [np.ones(50), np.zeros(50)])
    np.testing.assert_allclose(by_M, 1 / r, rtol=1e-12)
    np.testing.assert_allclose(by_e, np.sin(E) / r, rtol=1e-12)


def test_map_shows_failures_where_they_are(work: Path) -> None:
    """E² = M has no root below zero, which half a width beyond the sample is."""
    found = measure.failures(operator(work, "root"), SAMPLES["root"])
    assert found is not None
    assert found.x[0] < 0
    np.testing.assert_array_equal(np.isnan(found.iterations[0]), found.x < 0)


def test_iterations_are_counted(work: Path) -> None:
    found = measure.iterations(operator(work, "orbit"), SAMPLES["orbit"])
    assert found.points == 20000
    assert found.failed == 0
    assert found.count.sum() == found.points
    assert found.quantiles[0, 0] > 1e-6 > found.quantiles[0, -1]
    assert (np.diff(found.quantiles[0]) <= 1e-15).all()


def test_grid_suits_the_sample(work: Path) -> None:
    """A grid on which a system fails is not taken: here all converge, so that it is the largest."""
    assert operator(work, "rod").sizes == (128,)
    assert operator(work, "plate").sizes == (48, 48)
    assert dataclasses.replace(operator(work, "orbit")).sizes == ()


def luminance(colour: str) -> float:
    parts = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """The ratio of WCAG 2.1, section 1.4.3."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_colours_can_be_told_apart_in_the_light_and_in_the_dark() -> None:
    style = (ROOT / "templates" / "report" / "style.css").read_text()
    for block in re.findall(r":root \{(.*?)\}", style, re.DOTALL):
        named = dict(re.findall(r"--(\w+): (#\w{6})", block))
        for text in ("ink", "soft", "accent", "warn"):
            for ground in ("paper", "wash"):
                assert contrast(named[text], named[ground]) >= 4.5, (text, ground)
        for colour in COLOURS:
            assert contrast(colour, named["paper"]) >= 3, colour


@pytest.mark.parametrize("module", ["matplotlib", "latex2mathml.converter", "pygments"])
def test_missing_libraries_are_told(
    work: Path, module: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    assert main(["report", "orbit", "--from", str(work / "generated"), "-o", str(work / "none.html")]) == 2
    assert capsys.readouterr().err.strip().endswith("which is not installed; pip install 'opgen[report]'")
    assert not (work / "none.html").exists()


def test_mistakes_are_told(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    generated = ("--from", str(work / "generated"))
    assert main(["report", "orbti", *generated]) == 2
    assert "did you mean 'orbit'?" in capsys.readouterr().err
    blocked = work / "laws.py" / "page.html"
    assert main(["report", "height", *generated, "-o", str(blocked)]) == 2
    assert "cannot be written" in capsys.readouterr().err


# --- in a browser --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Start Chromium without a screen."""
    if importlib.util.find_spec("selenium") is None:
        pytest.skip("selenium is not installed (pip install selenium)")
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("there is no Chromium (apt-get install chromium chromium-driver)")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = program
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    started = webdriver.Chrome(options=options, service=Service(driver))
    yield started
    started.quit()


def show(browser: Any, page: Path, width: int, scheme: str = "light") -> None:
    size = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    scheme_of = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme_of]})
    browser.get(page.resolve().as_uri())


_BOXES = """
return [...document.querySelectorAll(arguments[0])].map(element => {
  const box = element.getBoundingClientRect();
  return [element.id || element.tagName, box.left, box.right, box.width, box.height];
});
"""
_INK = """
return [...document.querySelectorAll('figure svg')].map(svg =>
  [...svg.querySelectorAll('path, use, image, text')].filter(e => {
    const box = e.getBoundingClientRect();
    return box.width + box.height > 0;
  }).length);
"""
_COLOURS = """
const of = (selector, property) => getComputedStyle(document.querySelector(selector))[property];
const text = document.querySelector('figure svg text');
return [of('body', 'backgroundColor'), of('body', 'color'), getComputedStyle(text).fill];
"""


def brightness(colour: str) -> float:
    return sum(map(float, re.findall(r"[\d.]+", colour)[:3])) / 3


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1200])
@pytest.mark.parametrize("name", NAMES)
def test_browser_shows_the_page(browser: Any, pages: dict[str, Path], name: str, width: int) -> None:
    show(browser, pages[name], width)
    assert browser.get_log("browser") == []
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    for what in ("figure svg", "math"):
        boxes = browser.execute_script(_BOXES, what)
        shown = [box for box in boxes if box[3] > 0]
        assert shown
        assert all(box[4] > (100 if what == "figure svg" else 5) for box in shown)
    drawings = browser.execute_script(_BOXES, "figure svg")
    assert all(left >= 0 and right <= width and across > 250 for _, left, right, across, _ in drawings)
    assert min(browser.execute_script(_INK)) > 15


@pytest.mark.slow
def test_browser_shows_sources_when_asked(browser: Any, pages: dict[str, Path]) -> None:
    show(browser, pages["orbit"], 390)
    browser.execute_script("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
    code = browser.execute_script(_BOXES, ".code pre")
    assert len(code) > 8
    assert all(height > 20 for *_, height in code)
    coloured = "return new Set([...document.querySelectorAll('.code span')].map(s => getComputedStyle(s).color)).size"
    assert browser.execute_script(coloured) > 4


@pytest.mark.slow
def test_browser_shows_it_in_the_dark(browser: Any, pages: dict[str, Path]) -> None:
    show(browser, pages["orbit"], 390, "light")
    light = [brightness(colour) for colour in browser.execute_script(_COLOURS)]
    show(browser, pages["orbit"], 390, "dark")
    dark = [brightness(colour) for colour in browser.execute_script(_COLOURS)]
    assert light[0] > 200 > 100 > max(light[1:])
    assert dark[0] < 60 < 180 < min(dark[1:])
