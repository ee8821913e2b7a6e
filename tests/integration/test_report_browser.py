"""The report in a real browser: no sideways scrolling at phone and desktop width, no request, prints."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from confroute.evaluation import Outcomes, Signal, evaluate, write_report

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here (Debian: chromium)")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)

# A phone's width is less than the browser's own least window, so the page is shown in a frame of that width.
FRAME = """<!doctype html><body style="margin:0">
<iframe id="f" style="border:0;width:{width}px;height:900px" srcdoc="{page}"></iframe>
<script>
addEventListener("load", () => {{
  const page = document.getElementById("f").contentDocument, root = page.documentElement;
  const images = [...page.images];
  const wide = [...page.querySelectorAll("main *")].filter(one => {{
    const box = one.getBoundingClientRect();
    return box.width && (box.right > {width} + 1 || box.left < 0) && !one.closest(".scroll, thead");
  }});
  const out = document.createElement("pre");
  out.id = "found";
  out.textContent = JSON.stringify({{
    scroll: root.scrollWidth, height: root.scrollHeight,
    images: images.length, drawn: images.filter(one => one.complete && one.naturalWidth > 0).length,
    wide: wide.map(one => one.outerHTML.slice(0, 80)),
    sideways: [...page.querySelectorAll(".scroll")].filter(o => o.scrollWidth > o.clientWidth + 1).length,
    least: Math.min(...[...page.querySelectorAll("td, p, li, small")]
      .map(one => parseFloat(page.defaultView.getComputedStyle(one).fontSize))),
    requests: page.defaultView.performance.getEntriesByType("resource")
      .filter(one => !one.name.startsWith("data:")).length,
  }});
  document.body.append(out);
}});
</script>"""


def chromium(folder: Path, *arguments: str) -> str:
    command = [str(CHROMIUM), *FLAGS, f"--user-data-dir={folder / 'profile'}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for module in ("matplotlib", "jinja2", "sklearn"):
        pytest.importorskip(module)
    rng = np.random.default_rng(0)
    n = 240
    subjects = ("the history of Rome", "adding numbers", "a-very-long-word-" * 12, "planets and moons")
    data = Outcomes(
        "a set of questions with a rather long name, as users have them",
        tuple(f"A question about {subjects[i % 4]}, number {i}?" for i in range(n)),
        (rng.random(n) < 0.5).astype(float),
        (rng.random(n) < 0.8).astype(float),
        edge_cost=rng.random(n) / 1e4,
        cloud_cost=1e-3 + rng.random(n) / 1e3,
        edge_seconds=rng.random(n),
        cloud_seconds=1 + rng.random(n),
        edge_logprob=-rng.random(n),
        edge="an-edge-model-with-a-long-name-1.5b-instruct-q4_k_m",
        cloud="a-cloud-model",
    )
    signal = Signal("mine", rng.random(n), data.costs(drafts=True), data.seconds(drafts=True))
    return write_report(evaluate(data, signal, n_resamples=200), tmp_path_factory.mktemp("report"))


@pytest.mark.parametrize("width", [360, 390, 768, 1280])
def test_nothing_is_cut_off_or_scrolls_sideways(page: Path, width: int, tmp_path: Path) -> None:
    frame = tmp_path / "frame.html"
    text = page.read_text(encoding="utf-8")
    frame.write_text(FRAME.format(width=width, page=html.escape(text)), encoding="utf-8")
    dom = chromium(tmp_path, f"--window-size={max(width, 500)},1000", "--dump-dom", frame.as_uri())
    match = re.search(r'<pre id="found">(.*?)</pre>', dom, re.DOTALL)
    assert match is not None
    found = json.loads(html.unescape(match[1]))
    assert found["scroll"] <= width
    assert found["wide"] == []
    assert found["sideways"] == 0
    assert (found["images"], found["drawn"]) == (3, 3)
    assert found["least"] >= 12
    assert found["requests"] == 0


def test_it_prints_on_a_few_pages(page: Path, tmp_path: Path) -> None:
    target = tmp_path / "report.pdf"
    chromium(tmp_path, f"--print-to-pdf={target}", "--no-pdf-header-footer", page.as_uri())
    pdf = target.read_bytes()
    assert pdf.startswith(b"%PDF-")
    pages = len(re.findall(rb"/Type\s*/Page\b", pdf))
    assert 3 <= pages <= 9


def test_it_opens_from_a_file(page: Path, tmp_path: Path) -> None:
    shot = tmp_path / "shot.png"
    chromium(tmp_path, "--window-size=1280,1600", f"--screenshot={shot}", page.as_uri())
    assert shot.stat().st_size > 50_000
