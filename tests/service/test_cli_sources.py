"""`plumbline source`: what each command prints, how it ends, and that data folder and service give the same answers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner, Result

from service.cli import app
from tests.service.http_parts import Keyed
from tests.service.source_parts import fill_shop

WIDE = "200"


class Shell:
    """Runs commands against one place: the data folder, or a service."""

    def __init__(self, environment: dict[str, str], origins: Path) -> None:
        self.environment = environment
        self.origins = origins

    def __call__(self, *arguments: str, columns: str = WIDE, typed: str | None = None) -> Result:
        environment = {**self.environment, "COLUMNS": columns, "NO_COLOR": "1"}
        return CliRunner().invoke(app, ["source", *arguments], env=environment, input=typed)

    def json(self, *arguments: str) -> object:
        done = self(*arguments, "--json")
        assert done.exit_code in (0, 1), done.output
        return json.loads(done.stdout)


@pytest.fixture
def local(tmp_path: Path, models_dir: Path) -> Shell:
    """A shell beside a data folder that no service uses."""
    shop = f"sqlite:///{tmp_path / 'shop.sqlite'}"
    fill_shop(shop)
    origins = tmp_path / "origins"
    origins.mkdir()
    environment = {
        "PLUMBLINE_DATA_DIR": str(tmp_path / "data"),
        "PLUMBLINE_MODELS_DIR": str(models_dir),
        "PLUMBLINE_SOURCES__DATABASES__SHOP": shop,
    }
    return Shell(environment, origins)


@pytest.fixture
def remote(served: Keyed, sources_base: Path) -> Iterator[Shell]:
    """A shell that asks a service, which has no sources before and after."""
    environment = {"PLUMBLINE_URL": served.url, "PLUMBLINE_API_KEY": served.tokens["admin"]}
    with served.client("admin") as client:
        _remove_all(client)
        yield Shell(environment, sources_base / "origins")
        _remove_all(client)


def _remove_all(client: httpx.Client) -> None:
    for source in client.get("/v1/sources").json()["sources"]:
        client.delete(f"/v1/sources/{source['id']}")


@pytest.fixture(params=["local", "remote"])
def shell(request: pytest.FixtureRequest) -> Shell:
    found: Shell = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def docs(shell: Shell) -> Iterator[Path]:
    folder = shell.origins / "docs"
    folder.mkdir()
    (folder / "crane.md").write_text("# Crane\n\nThe harbour crane lifts forty tons.\n")
    (folder / "empty.md").write_text("")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def test_the_life_of_a_source(shell: Shell, docs: Path) -> None:
    assert "add one" in shell("list").stderr
    added = shell("add", "folder", "handbook", str(docs), "--label", "ops", "--metadata", "team=quay")
    assert added.exit_code == 0, added.output
    assert "plumbline source sync handbook" in added.stderr

    partial = shell("sync", "handbook")
    assert partial.exit_code == 1
    assert "handbook: partial, 2 documents: 1 created, 1 failed" in partial.stderr
    assert "empty.md: empty:" in partial.stderr
    differs = shell("reconcile", "handbook")
    assert differs.exit_code == 1
    assert "not equal: handbook, 1 document in the corpus" in differs.stdout
    assert "1 failed (could not be read)\n    docs/empty.md\n" in differs.stdout

    (docs / "empty.md").unlink()
    done = shell("sync", "--all")
    assert done.exit_code == 0
    assert "handbook: succeeded, 1 document" in done.stderr
    equal = shell("reconcile", "handbook")
    assert (equal.exit_code, equal.stdout.split(":")[0]) == (0, "equal")

    told = shell("list").stdout
    assert [word in told for word in ("handbook", "ok", "on demand", f"folder {docs}")] == [True] * 4
    shown = shell("show", "handbook").stdout
    assert [word in shown for word in ("ops", "team=quay", "last synced", "UTC")] == [True] * 4

    kept = shell("remove", "handbook", typed="n\n")
    assert (kept.exit_code, "about 1" in kept.stderr) == (1, True)
    assert shell("remove", "handbook", "--yes").exit_code == 0
    assert shell.json("list") == []
    assert (docs / "crane.md").exists()


def test_pause_resume_and_retry_say_what_they_did(shell: Shell, docs: Path) -> None:
    (docs / "empty.md").write_bytes(b"")
    shell("add", "folder", "handbook", str(docs), "--every", "30m", "--exclude", "empty*")

    assert "on demand only" in shell("pause", "handbook").stderr
    assert "paused" in shell("list").stdout
    assert shell.json("show", "handbook")["paused"] is True  # type: ignore[index]
    assert "the service syncs it while it runs" in shell("resume", "handbook").stderr
    assert "nothing of handbook is quarantined" in shell("retry", "handbook").stderr


def test_a_source_that_does_not_answer_is_exit_code_one(shell: Shell, docs: Path) -> None:
    gone = docs / "gone"
    gone.mkdir()
    shell("add", "folder", "lost", str(gone), "--every", "1d")
    gone.rmdir()

    done = shell("sync", "lost")

    assert done.exit_code == 1
    assert "lost: failed" in done.stderr
    assert str(gone) in done.stderr
    assert "warning" not in done.stderr
    listed = shell("list")
    assert "failing" in listed.stdout
    assert f"lost: source_unavailable: {gone}" in listed.stdout
    compared = shell("reconcile", "lost")
    assert compared.exit_code == 2
    assert "source_unavailable" in compared.stderr


def test_one_source_that_fails_does_not_keep_the_others_from_being_synced(shell: Shell, docs: Path) -> None:
    (docs / "empty.md").unlink()
    gone = shell.origins / "vanished"
    gone.mkdir()
    shell("add", "folder", "aaa", str(gone), "--every", "1d")
    shell("add", "folder", "bbb", str(docs))
    gone.rmdir()

    told = shell.json("sync", "aaa", "bbb")

    assert isinstance(told, dict)
    assert {id_: state["state"] for id_, state in told.items()} == {"aaa": "failed", "bbb": "succeeded"}


def test_rows_of_a_database(shell: Shell) -> None:
    added = shell("add", "sql", "products", "shop", "--table", "products", "--key", "id", "--text", "text")

    assert added.exit_code == 0, added.output
    assert "products: succeeded, 1 document: 1 created" in shell("sync", "products").stderr
    assert "sql shop, products" in shell("list").stdout


def test_a_repository(shell: Shell) -> None:
    work = shell.origins / "repository"
    work.mkdir(exist_ok=True)
    (work / "tug.md").write_text("# Tug\n\nThe tugboat waits at pier nine.\n")
    who = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example.org"}
    who |= {name.replace("AUTHOR", "COMMITTER"): value for name, value in who.items()}
    for command in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "first"]):
        subprocess.run(["git", *command], cwd=work, check=True, env={**os.environ, **who})

    assert shell("add", "git", "runbooks", str(work), "--branch", "main").exit_code == 0
    assert "runbooks: succeeded, 1 document: 1 created" in shell("sync", "runbooks").stderr
    assert shell("reconcile", "runbooks").exit_code == 0
    shutil.rmtree(work)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("sync",), "name a source, or give --all"),
        (("sync", "x", "--all"), "not both"),
        (("sync", "nothing"), "not_found"),
        (("show", "nothing"), "not_found"),
        (("reconcile", "nothing"), "not_found"),
        (("pause", "nothing"), "not_found"),
        (("remove", "nothing"), "not_found"),
        (("remove", "nothing", "--yes"), "not_found"),
        (("add", "folder", "Upper", "/tmp"), "id: "),
        (("add", "folder", "docs", "/tmp", "--every", "often"), "write 30s, 15m, 6h or 1d"),
        (("add", "folder", "docs", "/tmp", "--every", "1s"), "interval_s"),
        (("add", "folder", "docs", "/tmp", "--metadata", "team"), "key=value"),
        (("add", "folder", "docs", "/tmp", "--include", "../*"), "include: a glob"),
        (("add", "git", "docs", "not a repository"), "url: give an https, http or ssh address"),
        (("add", "web", "docs", "docs.example.org"), "url: give an address that begins with https://"),
        (("add", "sql", "docs", "shop", "--key", "id", "--text", "a"), "either `table` or `query`"),
        (("add", "sql", "docs", "nowhere", "--table", "t", "--key", "id", "--text", "a"), "DATABASES__NOWHERE"),
    ],
)
def test_what_cannot_work_is_one_line_and_exit_code_two(shell: Shell, arguments: tuple[str, ...], words: str) -> None:
    done = shell(*arguments)

    assert done.exit_code == 2, done.output
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Value error" not in done.stderr
    assert "Traceback" not in done.output


def test_a_folder_that_is_not_there_is_refused_before_it_is_added(local: Shell) -> None:
    done = local("add", "folder", "docs", str(local.origins / "nothing"))

    assert done.exit_code == 2
    assert "is not a folder" in done.stderr
    assert local.json("list") == []


def test_a_service_lets_through_what_its_settings_and_the_key_allow(remote: Shell, served: tuple[Keyed, Path]) -> None:
    outside = remote("add", "folder", "docs", "/etc")
    ingester = Shell({**remote.environment, "PLUMBLINE_API_KEY": served.tokens["ingester"]}, remote.origins)
    forbidden = ingester("add", "folder", "docs", str(remote.origins))

    assert (outside.exit_code, forbidden.exit_code) == (2, 2)
    assert "PLUMBLINE_SOURCES__FOLDERS" in outside.stderr
    assert "forbidden" in forbidden.stderr
    assert ingester("list").exit_code == 0


def test_both_give_the_same_answers(local: Shell, remote: Shell) -> None:
    answers = []
    for number, shell in enumerate((local, remote)):
        folder = shell.origins / f"same{number}"
        folder.mkdir()
        (folder / "crane.md").write_text("# Crane\n\nThe harbour crane lifts forty tons.\n")
        (folder / "empty.md").write_text("")
        shell("add", "folder", "handbook", str(folder))
        synced = shell.json("sync", "handbook")
        (folder / "crane.md").unlink()
        text = json.dumps([synced, shell.json("reconcile", "handbook"), shell.json("show", "handbook")])
        answers.append(json.loads(text.replace(folder.name, "same")))

    (synced, compared, source), (synced_there, compared_there, source_there) = answers
    for told in (synced["handbook"], synced_there["handbook"]):
        assert told["state"] == "partial"
        [failure] = told.pop("failures")
        assert (failure["code"], failure["uri"].endswith("empty.md")) == ("empty", True)
    assert synced == synced_there
    for difference in (compared, compared_there):
        assert difference["orphaned"]["count"] == difference["failed"]["count"] == 1
    assert compared.keys() == compared_there.keys()
    assert source.keys() == source_there.keys()
    assert source["counts"] == source_there["counts"]


def test_a_narrow_terminal_keeps_the_columns_apart(local: Shell) -> None:
    local("add", "folder", "handbook", str(local.origins), "--every", "6h")

    for columns in (200, 80, 60, 40):
        told = local("list", columns=str(columns)).stdout
        assert all(len(line) <= columns for line in told.splitlines())
        assert "handbook  never synced" in told
