"""Extended attributes: tags, ratings and comments of desktops, what damfs says, and what other programs keep.

Set and read with the programs that people have: setfattr, getfattr, gio, cp and rsync.
"""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from blake3 import blake3

from tests.mount.daemon_process import Daemon, rows, run
from tests.sample_media import h264

TAGS, RATING, COMMENT = "user.xdg.tags", "user.baloo.rating", "user.xdg.comment"


@contextmanager
def refused(number: int) -> Iterator[None]:
    with pytest.raises(OSError, match=rf"^\[Errno {number}\] ") as caught:
        yield
    assert caught.value.errno == number


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """One of the test's own, in a library that others use too."""
    return f"{request.node.name.removeprefix('test_')[:60]}.txt"


@pytest.fixture
def path(shared: Daemon, name: str) -> Path:
    """A received file."""
    (shared / "inbox" / name).write_text(f"bytes of {name}\n")
    shared.settled()
    return shared / "inbox" / name


def getfattr(path: Path, attribute: str) -> str:
    return run("getfattr", "--only-values", "-n", attribute, path).stdout


def dumped(path: Path) -> dict[str, str]:
    lines = run("getfattr", "-d", "-m-", "-e", "text", path).stdout.splitlines()
    return {key: value.strip('"') for key, _, value in (line.partition("=") for line in lines if "=" in line)}


def events(daemon: Daemon) -> list[tuple[str, str]]:
    """What the feed told last, newest first."""
    found = rows(daemon.library, "SELECT kind, detail FROM change ORDER BY seq DESC LIMIT 20")
    return [(str(kind), str(detail)) for kind, detail in found]


def test_tags_of_a_desktop_are_the_tags_of_the_asset(shared: Daemon, path: Path, name: str) -> None:
    run("setfattr", "-n", TAGS, "-v", "dt-harbour,dt-weather/dt-fog", path)
    assert getfattr(path, TAGS) == "dt-harbour,dt-weather/dt-fog"
    assert (shared / "by-tag/dt-harbour" / name).read_text() == path.read_text()
    assert sorted(os.listdir(shared / "by-tag/dt-weather")) == sorted(["dt-fog", name])
    run("setfattr", "-n", TAGS, "-v", "dt-weather", path)
    assert getfattr(path, TAGS) == "dt-weather"
    assert os.listdir(shared / "by-tag/dt-harbour") == []
    assert not (shared / "by-tag/dt-fog" / name).exists()
    (shared / "by-tag/dt-harbour" / name).hardlink_to(path)
    assert getfattr(path, TAGS) == "dt-harbour,dt-weather", "tagging in the tree shows in the attribute"


def test_tags_are_cleaned_and_written_as_read(shared: Daemon, path: Path) -> None:
    """Blanks and empty parts go, what is named twice is one tag, decomposed letters become composed."""
    os.setxattr(path, TAGS, " ct-Sea ,, ct-Sea,/ct-Cafe\u0301/ ,".encode())
    assert os.getxattr(path, TAGS).decode() == "ct-Caf\u00e9,ct-Sea"
    told = rows(shared.library, "SELECT max(seq) FROM change")
    os.setxattr(path, TAGS, os.getxattr(path, TAGS))
    assert rows(shared.library, "SELECT max(seq) FROM change") == told, "writing back what was read changes nothing"


def test_a_known_term_stays_where_it_is(shared: Daemon, path: Path) -> None:
    (shared / "by-tag/kt-place/kt-pier").mkdir(parents=True)
    os.setxattr(path, TAGS, b"kt-pier")
    assert os.getxattr(path, TAGS) == b"kt-place/kt-pier"
    os.setxattr(path, TAGS, b"kt-wood/kt-pier")
    assert os.getxattr(path, TAGS) == b"kt-place/kt-pier,kt-wood", "what was said is true, and nothing was moved"
    assert os.listdir(shared / "by-tag/kt-wood") == [path.name]


def test_a_term_that_cannot_be_said_is_left_alone(shared: Daemon, path: Path) -> None:
    (shared / "by-tag/cs-red, green").mkdir(parents=True)
    (shared / "by-tag/cs-red, green" / path.name).hardlink_to(path)
    os.setxattr(path, TAGS, b"cs-blue")
    assert os.getxattr(path, TAGS) == b"cs-blue"
    assert os.listdir(shared / "by-tag/cs-red, green") == [path.name]


def test_untagging_all(shared: Daemon, path: Path) -> None:
    os.setxattr(path, TAGS, b"ua-one,ua-two")
    assert path.name not in os.listdir(shared / "untagged")
    run("setfattr", "-x", TAGS, path)
    assert path.name in os.listdir(shared / "untagged")
    with refused(errno.ENODATA):
        os.getxattr(path, TAGS)
    with refused(errno.ENODATA):
        os.removexattr(path, TAGS)


@pytest.mark.parametrize("value", [b"\xff\xfe", b"ok,\xff"])
def test_tags_that_are_no_text(shared: Daemon, path: Path, value: bytes) -> None:
    with refused(errno.EINVAL):
        os.setxattr(path, TAGS, value)
    with refused(errno.ENODATA):
        os.getxattr(path, TAGS)


def test_a_tag_that_is_refused_leaves_all_as_it_was(shared: Daemon, path: Path) -> None:
    os.setxattr(path, TAGS, b"rt-kept")
    with refused(errno.EPERM):
        os.setxattr(path, TAGS, b"rt-new,.DS_Store")
    assert os.getxattr(path, TAGS) == b"rt-kept"
    assert not (shared / "by-tag/rt-new").exists(), "one transaction"


def test_ratings_of_dolphin(shared: Daemon, path: Path) -> None:
    for value in ("1", "10", "7"):
        run("setfattr", "-n", RATING, "-v", value, path)
        assert getfattr(path, RATING) == value
    for bad in (b"11", b"-1", b"4.5", b"good", "\u0663".encode()):
        with refused(errno.EINVAL):
            os.setxattr(path, RATING, bad)
    assert events(shared)[0] == ("rated", '{"rating":7,"before":10}')
    os.setxattr(path, RATING, b"0")
    with refused(errno.ENODATA):
        os.getxattr(path, RATING)
    assert RATING not in os.listxattr(path)


def test_comments(shared: Daemon, path: Path) -> None:
    run("gio", "set", "-t", "string", path, "xattr::xdg.comment", "two\tgulls, \u00fcber")
    assert os.getxattr(path, COMMENT).decode() == "two\tgulls, \u00fcber"
    assert "gulls" in run("gio", "info", "-a", "xattr::*", path).stdout
    with refused(errno.EINVAL):
        os.setxattr(path, COMMENT, b"\xff")
    os.removexattr(path, COMMENT)
    assert os.listxattr(path) == []


def test_what_damfs_says(shared: Daemon, path: Path) -> None:
    assert int(getfattr(path, "user.damfs.id")) == path.stat().st_ino & ((1 << 56) - 1)
    assert getfattr(path, "user.damfs.digest") == blake3(path.read_bytes()).hexdigest()
    assert getfattr(path, "user.damfs.state") == "present"
    assert getfattr(path, "user.damfs.media") == "other"
    assert os.listxattr(path) == [], "told by name only: programs that copy attributes do not carry it away"
    for attribute in ("user.damfs.id", "user.damfs.mine"):
        with refused(errno.EPERM):
            os.setxattr(path, attribute, b"1")
        with refused(errno.EPERM):
            os.removexattr(path, attribute)
    with refused(errno.ENODATA):
        os.getxattr(path, "user.damfs.nothing")


def test_a_file_that_is_being_written(shared: Daemon, name: str) -> None:
    path = shared / "inbox" / name
    with path.open("w") as file:
        file.write("not whole yet")
        os.setxattr(path, TAGS, b"bw-now")
        os.setxattr(file.fileno(), "user.mine", b"1")
        assert os.getxattr(path, "user.damfs.state") == b"receiving"
        with refused(errno.ENODATA):
            os.getxattr(path, "user.damfs.digest")
    shared.settled()
    assert dumped(path) == {TAGS: "bw-now", "user.mine": "1"}
    assert os.getxattr(path, "user.damfs.digest") == blake3(b"not whole yet").hexdigest().encode()


def test_attributes_of_other_programs_are_kept(shared: Daemon, path: Path) -> None:
    """Samba's streams, what browsers and yt-dlp leave, and whatever else: bytes in, bytes out."""
    kept = {
        "user.DOSATTRIB": b"\x00\x00\x05\x00" + bytes(range(60)),
        "user.DosStream.AFP_AfpInfo:$DATA": bytes(60) + b"\x00",
        "user.xdg.origin.url": b"https://example.org/clip",
        "user.dublincore.title": "Hafen \u2014 Nebel".encode(),
        "user.empty": b"",
        "user.largest": os.urandom(65536),
    }
    for attribute, value in kept.items():
        os.setxattr(path, attribute, value)
    assert sorted(os.listxattr(path)) == sorted(kept)
    assert {attribute: os.getxattr(path, attribute) for attribute in kept} == kept
    os.setxattr(path, "user.empty", b"not any more")
    assert os.getxattr(path, "user.empty") == b"not any more"
    os.removexattr(path, "user.empty")
    with refused(errno.ENODATA):
        os.getxattr(path, "user.empty")
    with refused(errno.ENODATA):
        os.removexattr(path, "user.empty")


def test_one_asset_cannot_fill_the_catalog(shared: Daemon, path: Path) -> None:
    with refused(errno.ENOSPC):
        for number in range(17):
            os.setxattr(path, f"user.large{number}", bytes(65536))
    assert len(os.listxattr(path)) == 15
    os.removexattr(path, "user.large0")
    os.setxattr(path, "user.large0", bytes(65536))


def test_create_and_replace(shared: Daemon, path: Path) -> None:
    for attribute in (RATING, "user.other"):
        with refused(errno.ENODATA):
            os.setxattr(path, attribute, b"3", os.XATTR_REPLACE)
        os.setxattr(path, attribute, b"3", os.XATTR_CREATE)
        with refused(errno.EEXIST):
            os.setxattr(path, attribute, b"4", os.XATTR_CREATE)
        os.setxattr(path, attribute, b"4", os.XATTR_REPLACE)
        assert os.getxattr(path, attribute) == b"4"


def test_odd_names(shared: Daemon, path: Path) -> None:
    odd = [b"user.\xff\xfe", b"user.a b,c=d\n", b"user.xdg.tags.more", b"user.damf", b"user." + b"x" * 250]
    for attribute in odd:
        os.setxattr(path, attribute, attribute)
    assert sorted(map(os.fsencode, os.listxattr(path))) == sorted(odd)
    assert all(os.getxattr(path, attribute) == attribute for attribute in odd)


def test_files_that_are_indexed_in_place_can_be_described(shared: Daemon, tmp_path: Path) -> None:
    """The catalog knows; the file on the disk is not touched."""
    folder = tmp_path / "in-place"
    folder.mkdir()
    (folder / "theirs.txt").write_text("not ours")
    before = (folder / "theirs.txt").stat()
    shared.add(folder)
    path = shared / "originals/in-place/theirs.txt"
    os.setxattr(path, TAGS, b"ip-a")
    os.setxattr(path, RATING, b"6")
    os.setxattr(path, "user.mine", b"1")
    assert dumped(path) == {TAGS: "ip-a", RATING: "6", "user.mine": "1"}
    assert os.listxattr(folder / "theirs.txt") == []
    after = (folder / "theirs.txt").stat()
    assert (after.st_mtime_ns, after.st_ctime_ns) == (before.st_mtime_ns, before.st_ctime_ns)


def test_a_file_that_lost_its_name_while_it_was_written(shared: Daemon, name: str) -> None:
    path = shared / "inbox" / name
    with path.open("w") as file:
        path.unlink()
        with refused(errno.ESTALE):
            os.setxattr(file.fileno(), "user.mine", b"1")
        # the kernel looks a name up again then: it may be that of another asset by now
        ln = ["ln", "-L", f"/proc/self/fd/{file.fileno()}", str(path)]
        linked = subprocess.run(ln, pass_fds=[file.fileno()], capture_output=True, text=True, check=False)
        assert os.strerror(errno.ESTALE) in linked.stderr
        file.write("still written")


def test_other_name_spaces_are_not_supported(shared: Daemon, path: Path) -> None:
    with refused(errno.EOPNOTSUPP):
        os.getxattr(path, "system.posix_acl_access")
    for attribute in ("trusted.mine", "security.selinux"):
        with refused(errno.EOPNOTSUPP):
            os.getxattr(path, attribute)
        with refused(errno.EOPNOTSUPP):
            os.setxattr(path, attribute, b"1")
    with refused(errno.ENODATA):
        os.getxattr(path, "security.capability")


def test_directories_and_texts_keep_none(shared: Daemon) -> None:
    """Dolphin then keeps how a folder is shown in its own files."""
    for each in ("by-type/video", "inbox", ".damfs/status", "README.md"):
        for attribute in ("user.kde.fm.viewproperties#1", "user.xdg.tags", "user.damfs.id"):
            with refused(errno.ENODATA):
                os.getxattr(shared / each, attribute)
        assert os.listxattr(shared / each) == []
        with refused(errno.EOPNOTSUPP):
            os.setxattr(shared / each, "user.kde.fm.viewproperties#1", b"1")


def test_capabilities_cost_no_statement(shared: Daemon, path: Path) -> None:
    """The kernel asks on every write."""
    before = shared.stats_at_rest()
    for _ in range(400):
        with refused(errno.ENODATA):
            os.getxattr(path, "security.capability")
        with refused(errno.ENODATA):
            os.getxattr(shared / "inbox", "user.xdg.tags")
    after = shared.stats()
    asked = 'damfs_fuse_operations_total{operation="getxattr"}'
    assert after[asked] - before.get(asked, 0) >= 400, "of capabilities only those that the native module leaves"
    used = after["damfs_catalog_statements_total"] - before["damfs_catalog_statements_total"]
    assert used <= 400, "of two lookups and of what the daemon does every half minute, none of 800 questions"


def test_a_copy_by_cp_carries_them(shared: Daemon, path: Path, tmp_path: Path) -> None:
    """Out to a disk, into another place under another name, and back from the disk onto what it was."""
    said = {TAGS: "cc-a/cc-b,cc-c", RATING: "8", COMMENT: "kept", "user.mine": "1"}
    for attribute, value in said.items():
        os.setxattr(path, attribute, value.encode())
    run("cp", "--preserve=xattr", path, tmp_path / "out.txt")
    assert dumped(tmp_path / "out.txt") == said
    run("cp", "--preserve=xattr", tmp_path / "out.txt", shared / "inbox/cc-back.txt")
    shared.settled()
    assert dumped(shared / "inbox/cc-back.txt") == said
    os.setxattr(tmp_path / "out.txt", "user.more", b"2")
    os.setxattr(tmp_path / "out.txt", RATING, b"2")
    run("cp", "--preserve=xattr", tmp_path / "out.txt", shared / "by-tag/cc-c/twin.txt")
    shared.settled()
    (tmp_path / path.name).write_bytes(path.read_bytes())
    os.setxattr(tmp_path / path.name, "user.more", b"2")
    os.setxattr(tmp_path / path.name, RATING, b"2")
    (shared / "by-tag/cc-new").mkdir()
    run("cp", "--preserve=xattr", tmp_path / path.name, shared / "by-tag/cc-new")
    shared.settled()
    assert (shared / "by-tag/cc-new" / path.name).stat().st_ino == path.stat().st_ino, "it became the known asset"
    wanted = {**said, TAGS: "cc-a/cc-b,cc-c,cc-new", "user.more": "2"}
    assert dumped(path) == wanted, "which said more now, and kept what it had said"


def test_a_copy_by_rsync_carries_them(shared: Daemon, path: Path, tmp_path: Path) -> None:
    said = {TAGS: "rs-a", RATING: "3", "user.mine": "1"}
    for attribute, value in said.items():
        os.setxattr(path, attribute, value.encode())
    (tmp_path / "out").mkdir()
    run("rsync", "-aX", "--no-owner", "--no-group", path, f"{tmp_path}/out/")
    assert dumped(tmp_path / "out" / path.name) == said
    (tmp_path / "out" / path.name).rename(tmp_path / "out/rs-back.txt")
    run("rsync", "-aX", "--no-owner", "--no-group", tmp_path / "out/rs-back.txt", f"{shared / 'inbox'}/")
    shared.settled()
    assert dumped(shared / "inbox/rs-back.txt") == said


@pytest.mark.parametrize(("name", "temporary"), [("ro-a.txt", ".ro-a.txt.Ab12Cd"), ("ro-b.txt", "ro-other.txt")])
def test_what_a_file_says_that_is_renamed_over_another_holds(shared: Daemon, name: str, temporary: str) -> None:
    """As `rsync -X` updates a file: everything is said of the temporary one. Tags come together."""
    (shared / "by-tag/ro-old").mkdir(exist_ok=True)
    path, new = shared / "by-tag/ro-old" / name, shared / "inbox" / temporary
    path.write_text(f"old bytes of {name}")
    shared.settled()
    inode = path.stat().st_ino
    for attribute, value in {RATING: b"2", COMMENT: b"old", "user.own": b"1", "user.both": b"old"}.items():
        os.setxattr(path, attribute, value)
    new.write_text(f"new bytes of {name}")
    for attribute, value in {TAGS: b"ro-new", RATING: b"9", "user.both": b"new", "user.more": b"3"}.items():
        os.setxattr(new, attribute, value)
    new.rename(path)
    shared.settled()
    assert path.stat().st_ino == inode
    assert path.read_text() == f"new bytes of {name}"
    assert dumped(path) == {
        TAGS: "ro-new,ro-old", RATING: "9", COMMENT: "old", "user.own": "1", "user.both": "new", "user.more": "3",
    }  # fmt: skip


def test_a_proxy_says_what_it_is(shared: Daemon, tmp_path: Path) -> None:
    clip = h264(tmp_path / "says.mp4", seconds=0.4)
    run("cp", clip, shared / "inbox")
    shared.settled()
    shared.idle()
    (proxy,) = (each for each in (shared / "proxies/library").rglob("says.mov"))
    assert os.getxattr(proxy, "user.damfs.kind") == b"proxy"
    assert os.getxattr(proxy, "user.damfs.original") == blake3(clip.read_bytes()).hexdigest().encode()
    with refused(errno.ENODATA):
        os.getxattr(proxy, TAGS)
    with refused(errno.EOPNOTSUPP):
        os.setxattr(proxy, TAGS, b"a")
    assert os.listxattr(proxy) == []


def test_they_are_there_after_a_remount(dam: Daemon) -> None:
    path = dam / "inbox/remounted.txt"
    path.write_text("x")
    for attribute, value in {TAGS: b"a/b", RATING: b"4", "user.mine": b"\xff"}.items():
        os.setxattr(path, attribute, value)
    dam.settled()
    dam.end()
    dam.start()
    assert {each: os.getxattr(path, each) for each in os.listxattr(path)} == {
        TAGS: b"a/b", RATING: b"4", "user.mine": b"\xff",
    }  # fmt: skip
