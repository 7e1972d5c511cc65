"""A mount shared by Samba: smbd on the loopback, with a configuration of its own, and smbclient as a guest."""

from __future__ import annotations

import getpass
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import program
from tests.mount.conftest import serving
from tests.mount.daemon_process import Daemon, await_end, descendants, rows, until

pytestmark = pytest.mark.needs_programs("smbd", "smbclient")

CONFIGURATION = """
[global]
server role = standalone server
interfaces = 127.0.0.1/8
bind interfaces only = yes
smb ports = {port}
private dir = {folder}/private
lock directory = {folder}/lock
state directory = {folder}/state
cache directory = {folder}/cache
pid directory = {folder}/pid
ncalrpc dir = {folder}/ncalrpc
log file = {folder}/log
map to guest = bad user
guest account = {user}
disable spoolss = yes
load printers = no
printing = bsd
printcap name = /dev/null

[dam]
path = {path}
guest ok = yes
read only = no
{streams}
"""
STREAMS = "vfs objects = streams_xattr"
"""How shares for macOS keep what belongs to a file, the Finder's notes for one: as extended attributes."""
STREAM = "user.DosStream.AFP_AfpInfo:$DATA"


@dataclass(frozen=True, slots=True)
class Share:
    dam: Daemon
    configuration: Path
    port: int

    def ask(self, *commands: str, check: bool = True) -> str:
        """What smbclient says to its commands."""
        done = subprocess.run(
            ["smbclient", "-s", self.configuration, "-p", str(self.port), "-N", "//127.0.0.1/dam", "-c",
             "; ".join(commands)], capture_output=True, text=True, timeout=180, check=False,
        )  # fmt: skip
        said = done.stdout + done.stderr
        assert not check or (done.returncode == 0 and "NT_STATUS" not in said), said
        return said

    @property
    def keeps_streams(self) -> bool:
        return STREAMS in self.configuration.read_text()

    def answers(self) -> bool:
        with closing(socket.socket()) as connection:
            return connection.connect_ex(("127.0.0.1", self.port)) == 0


def streams() -> str:
    """The module is in a package of its own."""
    return STREAMS if list(Path("/usr/lib").glob("**/samba/vfs/streams_xattr.so")) else ""


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def share(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Share]:
    folder, port = tmp_path_factory.mktemp("samba"), free_port()
    for name in ("private", "lock", "state", "cache", "pid", "ncalrpc"):
        (folder / name).mkdir(mode=0o700 if name == "private" else 0o755)
    with serving(folder) as serve:
        dam = serve().start()
        configuration = folder / "smb.conf"
        configuration.write_text(
            CONFIGURATION.format(
                port=port, folder=folder, path=dam.mountpoint, user=getpass.getuser(), streams=streams()
            )
        )
        with (folder / "smbd.log").open("wb") as log:
            # a session of its own: when it ends it signals its whole group
            server = subprocess.Popen(
                [program("smbd") or "", "-s", configuration, "--foreground", "--no-process-group", "--debug-stdout"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        made = Share(dam, configuration, port)
        try:
            until(lambda: server.poll() is not None or made.answers(), "smbd answers")
            assert server.poll() is None, (folder / "smbd.log").read_text()
            yield made
        finally:
            children = descendants(server.pid)
            server.terminate()
            server.wait(90)
            for child in children:
                await_end(child)


def test_the_client_lists_what_ls_lists(share: Share) -> None:
    said = share.ask("ls")
    for name in os.listdir(share.dam.mountpoint):
        assert name in said
    said = share.ask("cd inbox", "ls")
    assert "blocks available" in said


def test_what_is_put_is_received_tagged_and_can_be_got(share: Share, tmp_path: Path) -> None:
    source, back = tmp_path / "clip one.bin", tmp_path / "back.bin"
    source.write_bytes(os.urandom(5_000_000))
    share.ask("mkdir by-tag\\beach", "cd by-tag\\beach", f'put "{source}" "clip one.bin"')
    share.dam.settled()
    assert (share.dam / "by-tag/beach/clip one.bin").read_bytes() == source.read_bytes()
    share.ask(f'get "by-tag\\beach\\clip one.bin" "{back}"')
    assert back.read_bytes() == source.read_bytes()
    share.ask(f'get "by-type\\other\\clip one.bin" "{back}"')
    found = rows(share.dam.library, "SELECT a.state, t.name FROM asset a JOIN tagging g ON g.asset = a.id"
                 " JOIN term t ON t.id = g.term WHERE a.name = 'clip one.bin'")  # fmt: skip
    assert found == [("present", "beach")]


def test_renaming_renames_and_retags(share: Share, tmp_path: Path) -> None:
    source = tmp_path / "x"
    source.write_text("to be renamed")
    share.ask("mkdir by-tag\\one", "mkdir by-tag\\two", f'put "{source}" by-tag\\one\\before.txt')
    share.dam.settled()
    inode = (share.dam / "by-tag/one/before.txt").stat().st_ino
    share.ask("rename by-tag\\one\\before.txt by-tag\\one\\after.txt")
    assert (share.dam / "by-tag/one/after.txt").stat().st_ino == inode
    share.ask("rename by-tag\\one\\after.txt by-tag\\two\\after.txt")
    assert os.listdir(share.dam / "by-tag/one") == []
    assert (share.dam / "by-tag/two/after.txt").stat().st_ino == inode
    assert (share.dam / "by-tag/two/after.txt").read_text() == "to be renamed"
    assert "before.txt" not in share.ask("cd by-tag\\one", "ls")


def test_deleting_in_a_term_untags_and_the_bytes_stay(share: Share, tmp_path: Path) -> None:
    source = tmp_path / "x"
    source.write_text("to be untagged")
    share.ask("mkdir by-tag\\gone", f'put "{source}" by-tag\\gone\\note.txt')
    share.dam.settled()
    share.ask("del by-tag\\gone\\note.txt")
    assert os.listdir(share.dam / "by-tag/gone") == []
    assert (share.dam / "by-type/other/note.txt").read_text() == "to be untagged"
    assert (share.dam / "untagged/note.txt").exists()
    share.ask("rmdir by-tag\\gone")
    assert not (share.dam / "by-tag/gone").exists()


def test_what_a_view_refuses_is_refused_to_the_client(share: Share, tmp_path: Path) -> None:
    source = tmp_path / "x"
    source.write_text("x")
    for command in (f'put "{source}" by-type\\other\\x.txt', "mkdir by-date\\1999", f'put "{source}" inbox\\.DS_Store',
                    f'put "{source}" inbox\\._x.txt'):  # fmt: skip
        assert "NT_STATUS_ACCESS_DENIED" in share.ask(command, check=False), command
    assert rows(share.dam.library, "SELECT 1 FROM asset WHERE name LIKE '.%'") == []


def test_streams_are_kept_as_attributes_and_go_with_the_file(share: Share, tmp_path: Path) -> None:
    if not share.keeps_streams:
        pytest.skip("needs Samba's module streams_xattr")
    source, note, back = tmp_path / "clip.bin", tmp_path / "note", tmp_path / "back"
    source.write_bytes(b"clip with a note")
    note.write_bytes(bytes(range(256)))
    share.ask("mkdir by-tag\\noted", f'put "{source}" inbox\\noted.bin', f'put "{note}" inbox\\noted.bin:AFP_AfpInfo')
    share.dam.settled()
    assert "AFP_AfpInfo" in share.ask("allinfo inbox\\noted.bin")
    share.ask("rename inbox\\noted.bin by-tag\\noted\\noted.bin")
    share.ask(f'get by-tag\\noted\\noted.bin:AFP_AfpInfo "{back}"')
    assert back.read_bytes() == note.read_bytes()
    assert os.getxattr(share.dam / "by-tag/noted/noted.bin", STREAM).startswith(note.read_bytes())
    assert (share.dam / "by-tag/noted/noted.bin").read_bytes() == b"clip with a note"
    assert os.listdir(share.dam / "by-tag/noted") == ["noted.bin"], "no file beside it"


def test_names_beyond_ascii_and_many_files(share: Share, tmp_path: Path) -> None:
    folder = tmp_path / "card"
    folder.mkdir()
    names = [f"Füße {number} 🏖.txt" for number in range(40)]
    for name in names:
        (folder / name).write_text(name)
    share.ask("prompt OFF", "cd inbox", f'lcd "{folder}"', "mput *")
    share.dam.settled()
    assert {(share.dam / "inbox" / name).read_text() for name in names} == set(names)
    back = tmp_path / "back"
    back.mkdir()
    share.ask("prompt OFF", "cd inbox", f'lcd "{back}"', "mget F*")
    assert {path.name: path.read_text() for path in back.iterdir()} == {name: name for name in names}
