"""One file in: what is not a file of its own is refused, with a reason."""

import os
import socket

import pytest

from course.grading.intake import Refusal, read

SMALL = 2**20


def refused(path, **more):
    with pytest.raises(Refusal) as caught:
        read(path, **more)
    return caught.value


def test_a_file_is_read(tmp_path):
    (tmp_path / "a.ipynb").write_bytes(b"{}")
    assert read(tmp_path / "a.ipynb") == b"{}"
    (tmp_path / "empty.ipynb").write_bytes(b"")
    assert read(tmp_path / "empty.ipynb") == b""


def test_a_link_is_refused_even_to_a_harmless_file(tmp_path):
    (tmp_path / "a").write_bytes(b"{}")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    (tmp_path / "dangling").symlink_to("nowhere")
    assert refused(tmp_path / "link").code == "link"
    assert refused(tmp_path / "dangling").code == "link"


def test_a_hard_link_is_refused_and_stays(tmp_path):
    (tmp_path / "gradebook").write_bytes(b"secret")
    os.link(tmp_path / "gradebook", tmp_path / "a.ipynb")
    assert refused(tmp_path / "a.ipynb").code == "hard-link"
    assert (tmp_path / "a.ipynb").read_bytes() == b"secret"


def test_a_pipe_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "a.ipynb")
    assert refused(tmp_path / "a.ipynb").code == "fifo"


def test_devices_sockets_and_folders_are_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as end:
        end.bind("a.ipynb")
        assert refused("a.ipynb").code == "socket"
    assert refused("/dev/zero").code == "device"
    assert refused(tmp_path).code == "folder"


def test_rights_of_its_owner_are_refused(tmp_path):
    path = tmp_path / "a.ipynb"
    path.write_bytes(b"{}")
    path.chmod(0o4755)
    assert refused(path).code == "setuid"


def test_500_megabytes_on_paper_are_refused_unread(tmp_path):
    with open(tmp_path / "a.ipynb", "wb") as file:
        file.truncate(500 * 2**20)
    refusal = refused(tmp_path / "a.ipynb")
    assert refusal.code == "too-large"
    assert "500 MiB" in refusal.text


def test_a_small_file_with_holes_is_refused(tmp_path):
    with open(tmp_path / "a.ipynb", "wb") as file:
        file.write(b"{}")
        file.truncate(SMALL)
        if os.lseek(file.fileno(), 0, os.SEEK_HOLE) == SMALL:
            pytest.skip("this file system knows no holes")
    assert refused(tmp_path / "a.ipynb").code == "sparse"


def test_a_file_that_has_no_size_is_counted_while_it_is_read():
    # The kernel says 0 bytes for what it makes up on the way.
    if not os.path.exists("/proc/kallsyms"):
        pytest.skip("no file of unknown size here")
    assert refused("/proc/kallsyms", largest=1000).code == "too-large"


def test_what_is_not_there_or_not_ours_is_said(tmp_path):
    assert "No such file" in refused(tmp_path / "none").text
    assert refused("a\0b").code == "name"
