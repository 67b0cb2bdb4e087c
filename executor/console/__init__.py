# SPDX-License-Identifier: Apache-2.0
"""Consoles of devices: ports, one reader for each console, expectations, login, and the watch on the kernel.

* ports, network, serialport: where bytes come from and go to (a program on a pty, TCP, telnet, a serial line)
* reader, intake: `Console`, all that actions may ask of a console, and the thread that reads it
* text, recording: bytes to clean text to lines; the raw bytes on disk
* expect: waiting for one of several patterns
* faults, watcher: what a fault of the kernel looks like, and looking for it in everything that is read
* command, login: dialogues, such as a checked command or the login after boot
* sink: what a console needs of a journal
"""
