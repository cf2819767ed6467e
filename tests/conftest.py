# SPDX-License-Identifier: MIT
"""Ctrl-C works in the tests also where a shell runs them in the background, which ignores it."""

import signal

signal.signal(signal.SIGINT, signal.default_int_handler)
