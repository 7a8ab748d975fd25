"""A server in a process of its own for the browser to look at, and a tab that watches what the page does."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from service.settings import ServiceSettings

START = "import sys, uvicorn; from service.app import create_app; from service.settings import ServiceSettings\n"
START += "uvicorn.run(create_app(ServiceSettings()), host='127.0.0.1', port=0, access_log=False)"
CHROMIUM = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# Told before the page's own scripts run: what its policy refused, and each sentence shown before the answer was whole.
WATCH = """
window.refused = [];
addEventListener("securitypolicyviolation", (event) => {
  window.refused.push(`${event.violatedDirective} ${event.blockedURI}`);
});
window.streamed = [];
new MutationObserver((records) => {
  for (const node of records.flatMap((record) => [...record.addedNodes])) {
    if (node.matches?.("[aria-busy=true] > .claim")) window.streamed.push(node.textContent);
  }
}).observe(document, { childList: true, subtree: true });
"""
SAMPLES = [
    "oncall/on-call-guide.md",
    "reference/error-codes.md",
    "runbooks/gateway-502.md",
    "policies/refunds-and-claims.md",
]
SWAP = "How do I swap an on-call shift?"
EMOJI_TEXT = """# Depot dogs \U0001f415\u200d\U0001f9ba

\U0001f4e6\U0001f69a\U0001f69a Parcels for the kennel stay on the trolley.

The guard dog \U0001f436 Waldemar is fed at 06:40 with two tins of fish. \U0001f41f

Visitors wait at the gate.
"""
EMOJI_QUESTION = "When is the guard dog Waldemar fed, and with what?"
HOSTILE_TEXT = """Zanzibar checklist <img src=x onerror="window.hacked = 1"> <script>window.hacked = 1</script>

The zanzibar checklist says: **<b>count the crates</b>** and sign `<i>here</i>`.
"""


@dataclass(frozen=True)
class Site:
    url: str
    settings: ServiceSettings


@contextmanager
def running_site(
    folder: Path,
    models_dir: Path,
    sample_docs: Path,
    llm_url: str | None = None,
    variables: Mapping[str, str] | None = None,
) -> Iterator[Site]:
    """A server with a few of the sample documents and two odd ones; it is gone when the context ends."""
    told = {"PLUMBLINE_DATA_DIR": str(folder), "PLUMBLINE_MODELS_DIR": str(models_dir), "PLUMBLINE_LOG_LEVEL": "error"}
    if llm_url is not None:
        told |= {"PLUMBLINE_LLM__BASE_URL": llm_url, "PLUMBLINE_LLM__API_KEY": "none"}
    told |= dict(variables or {})
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PLUMBLINE_")} | told
    program = [sys.executable, "-c", START]
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    with subprocess.Popen(program, env=environment, text=True, **pipes) as server:
        try:
            url = _address(server)
            _fill(url, sample_docs)
            yield Site(url, ServiceSettings(data_dir=folder, models_dir=models_dir))
        finally:
            server.terminate()
            server.communicate(timeout=60)


def _address(server: subprocess.Popen[str]) -> str:
    """Where the server listens, which it says when it is up."""
    assert server.stderr is not None
    said = []
    for line in server.stderr:
        said.append(line)
        if found := re.search(r"running on (http://\S+)", line):
            return found.group(1)
    raise AssertionError("the server did not start:\n" + "".join(said))


def _fill(url: str, sample_docs: Path) -> None:
    documents = [
        {
            "id": name,
            "uri": f"sample_docs/{name}",
            "title": Path(name).stem,
            "text": (sample_docs / name).read_text("utf-8"),
        }
        for name in SAMPLES
    ]
    documents.append({"id": "dogs", "title": "Depot dogs", "text": EMOJI_TEXT})
    documents.append({"id": "a/b c%2F?#\U0001f69a", "title": "Zanzibar <b>checklist</b>", "text": HOSTILE_TEXT})
    for document in documents:
        document["media_type"] = "text/markdown"
    with httpx.Client(base_url=url, timeout=120) as client:
        response = client.post("/v1/documents/batch", params={"wait_s": 60}, json={"documents": documents})
    assert {told["status"] for told in response.json()["documents"]} == {"created"}


class HesitantModel:
    """A chat endpoint that says its first sentence, and the second only when it is let go on.

    The first is what the best passage says; the second states a number that no passage holds.
    """

    first = "Swap with anybody in your team who has done at least two shifts [1]."
    second = "Every swap costs 4711 euros [1]."

    def __init__(self) -> None:
        self.go_on = threading.Event()

    async def chat(self, _: Request) -> StreamingResponse:
        return StreamingResponse(self._chunks(), media_type="text/event-stream")

    def _chunks(self) -> Iterator[str]:
        yield _chunk(f"{self.first} ")
        yield _chunk("Every")
        self.go_on.wait(60)
        yield _chunk(self.second.removeprefix("Every"))
        yield _chunk("", "stop")
        yield "data: [DONE]\n\n"


def _chunk(content: str, finish: str | None = None) -> str:
    choice = {"index": 0, "delta": {"content": content}, "finish_reason": finish}
    told = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return f"data: {json.dumps(told)}\n\n"


@contextmanager
def running_model() -> Iterator[tuple[HesitantModel, str]]:
    """The endpoint and its address."""
    model = HesitantModel()
    app = Starlette(routes=[Route("/v1/chat/completions", model.chat, methods=["POST"])])
    with socket.socket() as listener:
        # Listening before the server runs: a call that comes early waits instead of failing.
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield model, f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        finally:
            model.go_on.set()
            server.should_exit = True
            thread.join(30)


@dataclass
class Tab:
    """A page under observation. `errors` is what the console said; a test that provokes some clears them."""

    page: Any
    site: Site
    errors: list[str]

    def open(self, path: str = "/") -> Any:
        self.page.goto(self.site.url + path)
        return self.page

    def ask(self, question: str, *, view: str = "ask") -> None:
        self.page.fill("#q", question)
        self.page.click(f"#do-{view}")
        self.page.wait_for_selector(".answer-foot, .refusal, .hits, .problem")

    def marked(self) -> str:
        """What is marked in the open document, as it stands in its text."""
        self.page.wait_for_selector("#reader mark")
        marks: list[str] = self.page.eval_on_selector_all(
            "#reader mark", "marks => marks.map(mark => mark.textContent)"
        )
        return "".join(marks)

    def focused(self) -> str:
        """Id or class of the element that has the focus."""
        found: str = self.page.evaluate("document.activeElement.id || document.activeElement.className")
        return found


@contextmanager
def watched_tab(browser: Any, site: Site, viewport: Mapping[str, int], timeout_ms: float) -> Iterator[Tab]:
    """A fresh browser profile. Afterwards: nothing was refused by the policy, and the console stayed silent."""
    with closing(browser.new_context(viewport=viewport, reduced_motion="reduce")) as context:
        context.set_default_timeout(timeout_ms)
        page = context.new_page()
        page.add_init_script(WATCH)
        tab = Tab(page, site, [])
        page.on("console", lambda told: tab.errors.append(told.text) if told.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: tab.errors.append(str(error)))
        yield tab
        assert page.evaluate("window.refused") == []
        assert tab.errors == []
