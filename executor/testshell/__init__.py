# SPDX-License-Identifier: Apache-2.0
"""The test shell: what goes onto the device, and what reads its console (spec: test-shell).

* device/: the helper scripts, POSIX sh
* definition, placed, scripts, overlay, tree: from a test definition to the archive that the device unpacks
* events, signals, checksum, stream, mend, ledger, kept: from console text to events, and back from the kept
file * attachments: files that tests attach, read over the console * results: from events to `results` records
"""
