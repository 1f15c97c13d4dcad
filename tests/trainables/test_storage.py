"""Tests that a folder on disk and an object store behave alike behind the same functions."""

import contextlib
import itertools
import os
import pickle
import threading
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.s3 import BUCKET, KEYS
from trainables import storage
from trainables.storage import ObjectPath, Patience, StoreError, location
from trainables.storage.objects import Changed, ObjectStore


@pytest.fixture(params=["disk", "s3", "gcs"])
def place(request, tmp_path):
    """Return an empty folder, on disk or in an object store."""
    if request.param == "disk":
        return tmp_path / "results"
    return location(request.getfixturevalue(request.param).url(f"of/{os.getpid()}"))


# -- names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "correction"),
    [
        ("s4://bucket/mine", "unknown scheme 's4'; did you mean 's3'?"),
        ("S3://bucket/mine", "unknown scheme 'S3'"),
        ("http://bucket/mine", "unknown scheme 'http'"),
        ("s3:/bucket/mine", "write s3://bucket/mine"),
        ("s3://bucket", "name a bucket and a folder in it"),
        ("s3://b:x/mine", "name a bucket and a folder in it"),
        ("s3://b/x?scheme=ftp", "its scheme is http or https"),
        ("gs:///mine", "name a bucket and a folder in it, like gs://bucket"),
        ("s3://b/x?endpoint=a:1", "unknown option 'endpoint'; did you mean 'endpoint_override'?"),
    ],
)
def test_a_wrong_url_is_refused_with_a_correction(text, correction):
    with pytest.raises(ValueError, match="://") as caught:
        location(text)
    assert correction in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "s3://AKIA:very-secret@bucket/mine",
        "s3://AKIA:very/very-secret@bucket/mine",
        "s3://bucket/mine?access_key=AKIA&secret_key=very-secret",
        "s3://bucket/mine?endpoint_override=AKIA:very-secret@host:9000",
    ],
)
def test_credentials_in_a_url_are_refused_without_being_repeated(text):
    with pytest.raises(ValueError, match=r"environment|unknown option") as caught:
        location(text)
    assert "very-secret" not in str(caught.value) and "AKIA" not in str(caught.value)


@pytest.mark.parametrize("text", ["results", "/a/b", "a b/c", "./x", "C", "no:slash"])
def test_a_text_that_is_no_url_is_a_disk_path(text):
    assert location(text) == Path(text)


def test_a_file_url_is_a_path_and_a_tilde_is_home(monkeypatch):
    assert location("file:///a/b") == Path("/a/b")
    monkeypatch.setenv("HOME", "/home/me")
    assert location("~/results") == Path("/home/me/results")


NAME = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_.=", min_size=1, max_size=12).filter(
    lambda name: name.strip(".") == name
)

BUCKETS = NAME.filter(lambda name: "=" not in name)


@given(
    st.sampled_from(["s3", "gs"]), BUCKETS, st.lists(NAME, min_size=1, max_size=4), st.booleans()
)
def test_a_location_read_from_a_url_is_written_as_the_same_url(scheme, bucket, names, query):
    text = f"{scheme}://{bucket}/{'/'.join(names)}{'?scheme=http' if query else ''}"
    place = location(text)
    assert isinstance(place, ObjectPath) and str(place) == text
    below = place / "x"
    assert location(str(below)) == below and below.parent == place and below.name == "x"
    assert place.name == names[-1]


# -- files ---------------------------------------------------------------------------------------


def test_write_creates_a_file_or_replaces_its_content(place):
    storage.make_folder(place / "a")
    # The last content is larger than one part of an upload.
    for content in (
        b"first",
        memoryview(pa.py_buffer(b"of Arrow")),
        b"",
        b"x" * 12_000_000,
    ):
        storage.write(place / "a" / "file", content)
        assert (place / "a" / "file").read_bytes() == content
    assert storage.names(place / "a") == ["file"]
    assert [(str(path), size) for path, size in storage.files(place)] == [
        (str(place / "a" / "file"), 12_000_000)
    ]


def test_a_missing_folder_is_empty_and_a_missing_file_raises(place):
    assert storage.names(place) == [] and [*storage.files(place)] == []
    assert not place.exists() and not (place / "file").exists()
    with pytest.raises(FileNotFoundError):
        (place / "file").read_bytes()
    (place / "file").unlink(missing_ok=True)
    with pytest.raises(FileNotFoundError):
        (place / "file").unlink()
    storage.remove(place)


def test_remove_deletes_a_folder_with_its_content_and_nothing_beside_it(place):
    kept = ["tree-beside/file", "treeless"]
    for name in ("tree/a", "tree/b/c", "tree/b/d", *kept):
        folder, _, file = name.rpartition("/")
        target = place
        for part in filter(None, folder.split("/")):
            target = target / part
        storage.make_folder(target)
        storage.write(target / file, b"x")
    assert sorted(storage.names(place)) == ["tree", "tree-beside", "treeless"]
    storage.remove(place / "tree")
    assert sorted(storage.names(place)) == ["tree-beside", "treeless"]
    assert sorted(path.name for path, _ in storage.files(place)) == ["file", "treeless"]


def test_move_renames_a_file_within_its_folder(place):
    storage.make_folder(place)
    storage.write(place / "a", b"content")
    storage.move(place / "a", "b")
    assert storage.names(place) == ["b"] and (place / "b").read_bytes() == b"content"


def test_side_by_side_keeps_the_order_and_raises_the_error_of_a_failed_call(place):
    storage.make_folder(place)
    assert storage.side_by_side(place, lambda n: n * n, range(40)) == [n * n for n in range(40)]
    done = []

    def work(number):
        if number == 3:
            raise StoreError("the third")
        done.append(number)

    with pytest.raises(StoreError, match="the third"):
        storage.side_by_side(place, work, range(6))
    assert {0, 1, 2} <= set(done)


def test_a_reader_sees_a_whole_object_while_it_is_replaced(place):
    storage.make_folder(place)
    contents = [bytes([number]) * 6_000_000 for number in range(4)]
    storage.write(place / "file", contents[0])
    is_read = threading.Event()

    def replace():
        for content in itertools.cycle(contents):
            if is_read.is_set():
                return
            storage.write(place / "file", content)

    writer = threading.Thread(target=replace)
    writer.start()
    try:
        for _ in range(10):
            assert (place / "file").read_bytes() in contents
    finally:
        is_read.set()
        writer.join()


# -- a store that fails --------------------------------------------------------------------------


def test_writing_a_small_object_takes_one_request(s3):
    place = location(s3.url("one"))
    s3.requests.clear()
    storage.write(place / "file", b"x" * 100_000)
    assert s3.requests == {"PUT": 1}


@pytest.mark.slow
def test_requests_are_tried_again_when_one_in_ten_fails(s3):
    place, s3.fail_every = location(s3.url("failing")), 10
    for number in range(60):
        storage.write(place / f"{number}", b"%d" % number)
    assert sorted(map(int, storage.names(place))) == [*range(60)]
    assert all((place / f"{n}").read_bytes() == b"%d" % n for n in range(60))
    assert s3.requests["failed"] >= 12


@pytest.mark.slow
def test_a_write_waits_for_a_store_that_is_away_for_a_while(s3, caplog):
    place = location(s3.url("away"))
    storage.be_patient(place, Patience(60.0))
    s3.leaves_for(4.0)
    storage.write(place / "file", b"late")
    assert not s3.away and s3.keys() == ["away/file"]
    assert "trying again for up to 60 s" in caplog.text and "?" not in caplog.text


@pytest.mark.slow
def test_retries_end_when_patience_is_over_or_a_stop_is_asked_for(s3):
    place, s3.away = location(s3.url("gone")), True
    storage.be_patient(place, Patience(1.0))
    with pytest.raises(StoreError, match=f"s3://{BUCKET}/gone/file: cannot be written: "):
        storage.write(place / "file", b"x")
    attempts = []
    storage.be_patient(place, Patience(3600.0, lambda: len(attempts) > 0 or attempts.append(1)))
    with pytest.raises(StoreError, match="cannot be read"):
        (place / "file").read_bytes()


def test_a_store_that_the_client_refuses_raises_a_store_error(monkeypatch):
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    store = ObjectStore("s3", BUCKET, "scheme=http&endpoint_override=127.0.0.1:1")
    with pytest.raises(StoreError, match=r"cannot be written: .*illegal character") as caught:
        storage.write(ObjectPath(store, "line\nbreak"), b"x")
    assert "\n" not in str(caught.value).partition("cannot be")[2]


def test_a_request_that_the_store_refuses_raises_a_store_error_of_one_line(s3):
    place, s3.read_only = location(s3.url("refused")), True
    storage.be_patient(place, Patience(0.0))
    with pytest.raises(StoreError) as caught:
        storage.write(place / "file", b"x")
    assert "AccessDenied" in str(caught.value) and "\n" not in str(caught.value)


def test_an_answer_without_a_text_that_forbids_a_request_names_a_remedy(s3):
    place, s3.expired = location(s3.url("expired")), True
    storage.be_patient(place, Patience(0.0))
    with pytest.raises(StoreError, match="403 Forbidden: look at the credentials"):
        (place / "file").exists()  # a HEAD request has no text in its answer


# -- writes on a condition -----------------------------------------------------------------------


@pytest.fixture(params=["s3", "s3 without conditions", "gcs"])
def store(request):
    """Return a server; one knows no conditional writes and answers 501, as Ceph did for long."""
    name, _, without = request.param.partition(" without ")
    server = request.getfixturevalue(name)
    if without:
        server.unconditional = True
    return server


def test_a_conditional_write_succeeds_only_on_the_version_that_was_read(store):
    claim = location(store.url("of")) / "claim"
    claim.write_if(b"first", None)
    with pytest.raises(Changed):
        claim.write_if(b"second", None)
    content, found = claim.read_version()
    assert content == b"first"
    claim.write_if(b"third", found.version)
    with pytest.raises(Changed):
        claim.write_if(b"fourth", found.version)
    assert claim.read_bytes() == b"third"
    claim.unlink()
    with pytest.raises(Changed):
        claim.write_if(b"fifth", found.version)
    assert not claim.exists()


@pytest.mark.parametrize("store", ["s3", "gcs"], indirect=True)
def test_of_many_writers_of_one_version_exactly_one_succeeds(store):
    claim = location(store.url("of")) / "claim"
    claim.write_if(b"first", None)
    _, found = claim.read_version()
    winners = []

    def write(number):
        with contextlib.suppress(Changed):
            claim.write_if(b"%d" % number, found.version)
            winners.append(number)

    storage.side_by_side(claim, write, range(12))
    assert len(winners) == 1 and claim.read_bytes() == b"%d" % winners[0]


def test_a_conditional_write_to_googles_store_names_the_generation_that_was_read(gcs):
    claim = location(gcs.url("of")) / "claim"
    claim.write_if(b"first", None)
    claim.write_if(b"second", claim.read_version()[1].version)
    assert gcs.conditions == ["0", "1700000000000000"]
    assert gcs.objects == {"of/claim": (b"second", 1_700_000_000_000_001)}


def test_the_time_of_a_store_is_the_one_that_it_gives_its_objects(s3):
    place = location(s3.url("of"))
    before = place.store.now()
    storage.write(place / "file", b"x")
    assert before <= (place / "file").read_version()[1].modified <= place.store.now()


def test_a_pickled_location_holds_no_credentials(s3):
    place = location(s3.url("of"))
    storage.write(place / "file", b"x")  # opens the client
    pickled = pickle.dumps(place)
    assert pickle.loads(pickled) == place
    assert not any(value.encode() in pickled for value in KEYS.values())


def test_missing_credentials_are_said_in_one_sentence(monkeypatch, tmp_path):
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    store = ObjectStore("s3", BUCKET, "endpoint_override=127.0.0.1:1&scheme=http")
    with pytest.raises(StoreError, match="no credentials are found: set AWS_ACCESS_KEY_ID"):
        storage.names(ObjectPath(store, "x"))


def test_credentials_of_a_profile_are_found(s3, monkeypatch, tmp_path):
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)
    file = tmp_path / "credentials"
    file.write_text("[lab]\naws_access_key_id = tester\naws_secret_access_key = hardly-secret\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.setenv("AWS_PROFILE", "lab")
    query = s3.url("of").partition("?")[2]
    place = ObjectPath(ObjectStore("s3", BUCKET, query), "profile")
    storage.write(place / "file", b"x")
    assert s3.keys("profile") == ["profile/file"]
