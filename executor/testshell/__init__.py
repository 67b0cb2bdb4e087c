# SPDX-License-Identifier: Apache-2.0
"""The test shell: what goes onto the device, and what reads its console (spec: test-shell).

Onto the device:

* device/: the helper scripts, POSIX sh; generic ones and those of distributions
* definition: a test definition as typed data; placed: with its place in the job
* quoting, scripts: install.sh and run.sh
* helpers, archive, overlay: the archive that the device unpacks

From the console:

* events: all that can happen; signals, checksum: how a signal looks
* stream: `SignalStream`, text in and events out; scanner finds signals in text, interpret knows what they
  mean, runs where results belong
* ledger, doubt, mend, kept, remainder: which numbers arrived, is a plain signal to be believed, joining what
  noise cut, reading back the device's file, and what becomes of the rest
* attachments: files that tests attached
* results: `Bookkeeper`, from events to `results` records
"""
