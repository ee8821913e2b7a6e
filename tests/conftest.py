"""Shared by all tests: no network beyond this machine, no colours, one thread for torch."""

import os

import pytest
from pytest_socket import socket_allow_hosts

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


@pytest.fixture(autouse=True)
def _no_network() -> None:
    socket_allow_hosts(["127.0.0.1", "::1", "localhost"], allow_unix_socket=True)
