# SPDX-License-Identifier: Apache-2.0
"""Consoles of devices: ports, one reader for each console, expectations, login, and the watch on the kernel.

ports, network, serialport   where bytes come from and go to: a program on a pty, TCP or telnet, a serial line
reader                       `Console`: the thread that reads, and all that actions may ask of a console
text, recording              bytes → clean text → lines; the raw bytes on disk
expect                       waiting for one of several patterns
faults, watcher              what a fault of the kernel looks like; looking for it in everything that is read
command, login               dialogues: a checked command, the login after boot
sink                         what a console needs of a journal
"""
