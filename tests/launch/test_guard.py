"""What the guards of connected processes tell each other."""

import json
import socket
import subprocess
import sys

import pytest

from tests.launch.connected import ROOT

# process 0, which says where its guard is, and meets process 1 sooner or later
FIRST = """
import sys, time
from launch.guard import Child
child = Child()
said = child.introduction()
print(said, flush=True)
if sys.argv[1] == "met":
    child.meet(0, [said, said.replace('"host": "', '"host": "other-')])
time.sleep(1)
if sys.argv[2] == "ends":
    child.finish()
    sys.exit()
time.sleep(60)
"""


def first(*arguments: str) -> tuple[subprocess.Popen[str], socket.socket, str]:
    """Process 0 under its guard, a connection to that, and the token it asks for."""
    command = [sys.executable, "-m", "launch.guard", "-c", FIRST, *arguments]
    guard = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert guard.stdout is not None
    said = json.loads(guard.stdout.readline())
    return guard, socket.create_connection(("127.0.0.1", said["port"])), said["token"]


def lines(*messages: dict[str, object]) -> bytes:
    return b"".join(json.dumps(message).encode() + b"\n" for message in messages)


@pytest.mark.parametrize("is_met", ["met", "not yet"])
def test_what_comes_in_one_packet_with_the_first_message_counts(is_met):
    guard, link, token = first(is_met, "stays")
    hello = {"token": token, "process": 1, "host": "other"}
    with link:
        link.sendall(lines(hello, {"report": ["was killed by SIGKILL", 75, True]}))
        _, errors = guard.communicate(timeout=30)
    assert guard.returncode == 75
    assert "error: process 1 (other) was killed by SIGKILL, so all other processes are stopping too" in errors


def test_a_process_that_has_finished_together_with_its_first_message_may_go():
    guard, link, token = first("met", "ends")
    link.sendall(lines({"token": token, "process": 1, "host": "other"}, {"finished": True}))
    link.close()
    _, errors = guard.communicate(timeout=30)
    assert (guard.returncode, errors) == (0, "")


def test_who_does_not_know_the_token_is_not_listened_to():
    guard, link, _ = first("met", "ends")
    with link:
        link.sendall(lines({"token": "x", "process": 1, "host": "other"}, {"report": ["was killed", 75, True]}))
        _, errors = guard.communicate(timeout=30)
    assert (guard.returncode, errors) == (0, "")
