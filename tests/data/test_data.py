"""Which copy of a data set serves, what is refused, and downloads broken in every way (from this machine)."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest

from remeasure.data import hashes
from remeasure.data.copies import cached_root, verify
from remeasure.data.fetch import fetch
from remeasure.data.sources import DataSource, open_data, resolve, simulator
from remeasure.declared.cards import DataCard
from remeasure.declared.overrides import apply
from remeasure.declared.registry import registry
from remeasure.errors import UserError
from toy.env import MIRROR, use_toy

SCORES = (MIRROR / "toydata" / "scores.tsv").read_bytes()
MORE = b"user\tage\n1\t20\n"


@pytest.fixture(autouse=True)
def _toy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use_toy(monkeypatch, tmp_path / "cache")


@pytest.fixture
def card() -> DataCard:
    return registry().dataset("toydata")


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A mirror that a test may damage; the folder of the data set in it."""
    shutil.copytree(MIRROR, tmp_path / "mirror")
    monkeypatch.setenv("REMEASURE_DATA", str(tmp_path / "mirror"))
    return tmp_path / "mirror" / "toydata"


def test_without_any_copy_the_simulator_serves(card: DataCard) -> None:
    source = resolve(card)
    assert (source.kind, source.origin, source.root) == ("simulated", "simulator", None)


def test_the_mirror_comes_before_the_cache_and_a_given_folder_before_both(
    card: DataCard, mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(mirror, cached_root(card))
    assert resolve(card).origin == "REMEASURE_DATA"
    assert resolve(card, tmp_path / "mirror" / "toydata").origin == "directory"
    shutil.rmtree(mirror)
    assert resolve(card).origin == "cache"
    monkeypatch.setenv("REMEASURE_DATA", "")
    assert resolve(card).origin == "cache"
    shutil.rmtree(cached_root(card))
    assert resolve(card).origin == "simulator"


def test_the_same_files_have_the_same_hash_wherever_they_are(card: DataCard, mirror: Path) -> None:
    shutil.copytree(mirror, cached_root(card))
    in_mirror = resolve(card)
    assert in_mirror.verified and in_mirror.kind == "real"
    assert verify(card, cached_root(card)).sha256 == in_mirror.sha256 == resolve(card, mirror).sha256


def test_a_mirror_that_is_no_folder_is_refused(card: DataCard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REMEASURE_DATA", "/there/is/no/such/folder")
    with pytest.raises(UserError, match=r"\$REMEASURE_DATA is /there/is/no/such/folder, which is no folder"):
        resolve(card)


def test_a_changed_file_is_refused_by_name_even_at_its_old_length(card: DataCard, mirror: Path) -> None:
    (mirror / "scores.tsv").write_bytes(SCORES[:-2] + b"9\n")
    with pytest.raises(UserError, match=r"toydata: scores\.tsv in .* does not have the sha256 of its card"):
        resolve(card)
    (mirror / "scores.tsv").write_bytes(SCORES[:100])
    with pytest.raises(UserError, match=r"scores\.tsv"):
        resolve(card)


def test_a_missing_file_is_refused_by_name(card: DataCard, mirror: Path) -> None:
    (mirror / "scores.tsv").unlink()
    with pytest.raises(UserError, match=r"scores\.tsv is missing in"):
        resolve(card)


def test_an_optional_file_makes_another_variant_and_is_noted(card: DataCard, mirror: Path) -> None:
    without = resolve(card)
    (mirror / "more.tsv").write_bytes(MORE)
    source = resolve(card)
    assert source.sha256 != without.sha256 and source.verified
    assert source.note == "with optional more.tsv"
    assert "more.tsv" in open_data(registry().case("toysys/prediction"), source)[1].label


def test_an_optional_file_with_a_wrong_hash_is_refused(card: DataCard, mirror: Path) -> None:
    (mirror / "more.tsv").write_bytes(MORE + b"2\t30\n")
    with pytest.raises(UserError, match=r"more\.tsv in .* does not have the git blob hash"):
        resolve(card)


def test_a_file_the_card_does_not_know_makes_an_unverified_variant(card: DataCard, mirror: Path) -> None:
    without = resolve(card)
    (mirror / "README.md").write_text("read me")
    assert resolve(card) == without
    (mirror / "stray.tsv").write_text("1\n")
    source = resolve(card)
    assert source.sha256 != without.sha256 and not source.verified and "stray.tsv" in source.note


def test_a_given_folder_is_taken_as_it_is_and_called_unverified(card: DataCard, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "scores.tsv").write_bytes(SCORES[:500].rsplit(b"\n", 1)[0])
    source = resolve(card, own)
    assert (source.kind, source.origin, source.verified) == ("real", "directory", False)
    (own / "other").mkdir()
    (own / "other" / "x.tsv").write_text("1")
    assert resolve(card, own).sha256 != source.sha256
    _, record = open_data(registry().case("toysys/prediction"), source)
    assert record.kind == "real" and not record.verified


@pytest.mark.parametrize("exists", [True, False])
def test_a_given_folder_that_is_empty_or_missing_is_refused(
    card: DataCard, tmp_path: Path, exists: bool
) -> None:
    if exists:
        (tmp_path / "own").mkdir()
    with pytest.raises(UserError, match="is empty" if exists else "does not exist"):
        resolve(card, tmp_path / "own")


def test_a_file_is_hashed_once_and_again_when_it_changes(
    card: DataCard, mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, seen = hashes._read, []
    monkeypatch.setattr(hashes, "_read", lambda path, size: (seen.append(path.name), read(path, size))[1])
    first = resolve(card)
    assert resolve(card) == first and seen == ["scores.tsv"]
    verify(card, mirror, remember=False)
    assert seen == ["scores.tsv"] * 2
    (mirror / "scores.tsv").write_bytes(SCORES + b"\n")
    with pytest.raises(UserError):
        resolve(card)


@pytest.mark.parametrize("how", ["in place", "another file"])
def test_a_changed_byte_with_its_times_set_back_is_seen(card: DataCard, mirror: Path, how: str) -> None:
    path = mirror / "scores.tsv"
    resolve(card)
    before = path.stat()
    changed = SCORES[:-2] + bytes([SCORES[-2] ^ 1]) + SCORES[-1:]
    if how == "another file":
        (mirror / "new").write_bytes(changed)
        (mirror / "new").replace(path)
    else:
        path.write_bytes(changed)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    with pytest.raises(UserError, match="does not have the sha256 of its card"):
        resolve(card)


def test_a_damaged_or_unwritable_memory_of_hashes_is_harmless(
    card: DataCard, mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = resolve(card)
    for file in (tmp_path / "cache" / "hashes").iterdir():
        file.write_text("{")
    assert resolve(card) == first
    (tmp_path / "file").touch()
    monkeypatch.setenv("REMEASURE_CACHE", str(tmp_path / "file"))
    assert resolve(card) == first


def test_simulated_data_are_named_by_code_and_request(card: DataCard) -> None:
    case = registry().case("toysys/prediction")
    data, record = open_data(case, simulator(card))
    assert data.simulated and record.kind == "simulated" and record.origin == "simulator"
    assert open_data(case, simulator(card))[1] == record
    assert open_data(apply(case, {"users": 50}), simulator(card))[1].sha256 != record.sha256


def test_the_simulator_is_asked_for_by_name_even_where_real_data_are(card: DataCard, mirror: Path) -> None:
    assert resolve(card).kind == "real"
    assert open_data(registry().case("toysys/prediction"), simulator(card))[1].kind == "simulated"


def test_a_loader_may_call_real_data_simulated_but_not_the_other_way_round(
    card: DataCard, mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from toy.datasets.toydata import loader

    case, load = registry().case("toysys/prediction"), loader.load
    monkeypatch.setattr(loader, "load", lambda request, root: replace(load(request, root), simulated=True))
    assert open_data(case, resolve(card))[1].kind == "simulated"
    monkeypatch.setattr(loader, "load", lambda request, root: replace(load(request, root), simulated=False))
    with pytest.raises(UserError, match="calls its data real"):
        open_data(case, simulator(card))


def test_a_source_can_be_sent_to_another_process(card: DataCard, mirror: Path) -> None:
    import pickle

    source = resolve(card)
    assert pickle.loads(pickle.dumps(source)) == source
    assert isinstance(source, DataSource) and source.root is not None and source.root.is_absolute()


@dataclass
class Publisher:
    """A publisher on this machine; `files` by path, and what it was asked for."""

    files: dict[str, bytes]
    cut: int | None = None
    asked: list[str] = field(default_factory=list)
    port: int = 0


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    published = Publisher({"/a/one.tsv": b"one" * 1000, "/two.tsv": b"two" * 1000})

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            published.asked.append(self.path)
            content = published.files.get(self.path)
            self.send_response(200 if content is not None else 404)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write((content or b"")[: published.cut])

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        published.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield published
        server.shutdown()
        thread.join()


@pytest.fixture
def published(card: DataCard, publisher: Publisher) -> DataCard:
    """The toy's card with two files at the publisher's."""
    import hashlib

    files = [
        msgspec.structs.replace(
            card.files[0],
            path=path.lstrip("/"),
            sha256=hashlib.sha256(content).hexdigest(),
            bytes=len(content),
            url=f"http://127.0.0.1:{publisher.port}{path}",
        )
        for path, content in publisher.files.items()
    ]
    return replace(card, files=tuple(files))


def kept(card: DataCard) -> list[str]:
    """Files below the cache's data folder, wherever they are."""
    root = cached_root(card).parent
    return sorted(path.name for path in root.rglob("*") if path.is_file() and path.suffix != ".lock")


def test_a_fetched_data_set_serves_and_is_not_fetched_again(
    published: DataCard, publisher: Publisher
) -> None:
    seen: list[tuple[str, int, int]] = []
    root = fetch(published, connect_timeout=2, progress=lambda *step: seen.append(step))
    assert root == cached_root(published)
    assert resolve(published).origin == "cache" and resolve(published).verified
    assert seen[-1] == ("two.tsv", 6000, 6000)
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)
    assert fetch(published) == root
    assert publisher.asked == ["/a/one.tsv", "/two.tsv"]


def test_a_wrong_hash_is_refused_and_not_kept(published: DataCard, publisher: Publisher) -> None:
    publisher.files["/two.tsv"] = b"other"
    with pytest.raises(UserError, match=r"two\.tsv from 127\.0\.0\.1 does not have the sha256 of its card"):
        fetch(published)
    assert kept(published) == ["one.tsv"]
    assert resolve(published).origin == "simulator"


def test_an_interrupted_download_is_not_kept_and_is_continued(
    published: DataCard, publisher: Publisher
) -> None:
    publisher.cut = 1000
    with pytest.raises(UserError, match="toydata: "):
        fetch(published)
    assert kept(published) == [] and resolve(published).kind == "simulated"
    publisher.cut = None
    fetch(published)
    assert resolve(published).origin == "cache"


def test_what_came_before_the_interruption_is_not_fetched_again(
    published: DataCard, publisher: Publisher
) -> None:
    two = publisher.files.pop("/two.tsv")
    with pytest.raises(UserError, match=r"two\.tsv cannot be fetched .*404"):
        fetch(published)
    publisher.files["/two.tsv"] = two
    fetch(published)
    assert publisher.asked.count("/a/one.tsv") == 1


def test_remains_of_a_killed_download_do_not_enter_the_data_set(published: DataCard) -> None:
    partial = cached_root(published).with_name(".toydata.partial")
    (partial / "a").mkdir(parents=True)
    (partial / "a" / "tmpabc").write_bytes(b"half")
    (partial / "two.tsv").write_bytes(b"half")
    fetch(published)
    assert kept(published) == ["one.tsv", "two.tsv"]


def test_a_damaged_file_in_the_cache_is_refused_and_a_fetch_mends_it(
    published: DataCard, publisher: Publisher
) -> None:
    root = fetch(published)
    (root / "two.tsv").write_bytes(b"damaged")
    with pytest.raises(UserError, match=r"two\.tsv .*remeasure dataset fetch toydata"):
        resolve(published)
    fetch(published)
    assert resolve(published).verified
    assert publisher.asked.count("/a/one.tsv") == 1 and publisher.asked.count("/two.tsv") == 2


def test_offline_is_one_sentence_and_leaves_the_simulator(card: DataCard) -> None:
    # A port that was just free: nobody listens.
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        port = server.server_port
    file = msgspec.structs.replace(card.files[0], url=f"http://127.0.0.1:{port}/scores.tsv")
    with pytest.raises(UserError, match=r"127\.0\.0\.1 cannot be reached; the simulator serves") as refusal:
        fetch(replace(card, files=(file,)), connect_timeout=1)
    assert "\n" not in str(refusal.value)
    assert resolve(card).kind == "simulated"


def test_a_cache_that_cannot_be_written_is_refused(
    published: DataCard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("REMEASURE_CACHE", str(tmp_path / "file"))
    with pytest.raises(UserError, match=r"the cache .*file/data cannot be written"):
        fetch(published)


def test_a_full_disk_is_refused_and_leaves_nothing_half_written(
    published: DataCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno
    import os

    from pooch.downloaders import HTTPDownloader

    def full(self: object, url: str, output_file: str, pooch: object) -> None:
        Path(output_file).write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(HTTPDownloader, "__call__", full)
    with pytest.raises(UserError, match=r"cannot be written .*No space left"):
        fetch(published)
    assert kept(published) == []


def test_a_connect_timeout_that_is_no_number_is_refused(
    published: DataCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REMEASURE_CONNECT_TIMEOUT", "soon")
    with pytest.raises(UserError, match=r"\$REMEASURE_CONNECT_TIMEOUT is 'soon'"):
        fetch(published)


def test_a_data_set_without_files_has_nothing_to_fetch(card: DataCard) -> None:
    with pytest.raises(UserError, match="has no files to fetch"):
        fetch(replace(card, files=()))
    assert resolve(replace(card, files=())).origin == "simulator"
