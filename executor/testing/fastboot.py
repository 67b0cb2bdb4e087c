# SPDX-License-Identifier: Apache-2.0
"""A phone on the desk: stand-ins for `fastboot` and `adb` that print and exit as the real ones do."""

from __future__ import annotations

from executor.testing.tools import StandIns

SERIAL = "FB4221"
ADB_SERIAL = "ADB4221"

# The last words are the command: serial number and options come first.
_FASTBOOT = """
case "$*" in
  devices) printf '{devices}'; exit 0;;
  *"flash bad "*) echo "Sending 'bad' (4 KB)  OKAY [  0.001s]"
    echo "Writing 'bad'  FAILED (remote: 'partition table doesn't exist')"
    echo "fastboot: error: Command failed"; exit 1;;
  *flash*) echo "Sending (4 KB)  OKAY [  0.001s]"; echo "Writing  OKAY [  0.002s]";;
  *boot*) echo "Rebooting  OKAY [  0.000s]";;
esac
echo "Finished. Total time: 0.003s"
"""
_ADB = """
case "$*" in
  devices) echo "List of devices attached"; printf '{devices}'; exit 0;;
  *" shell") echo "hikey:/ $ "; while read -r line; do echo "ran $line"; done;;
  *push*) echo "1 file pushed. 1.0 MB/s (4096 bytes in 0.004s)";;
esac
"""


def install(tools: StandIns, *, fastboot: tuple[str, ...] = (), adb: tuple[str, ...] = ()) -> None:
    """Both tools, with these boards in fastboot and these in a running system."""
    tools.make("fastboot", does=_FASTBOOT.format(devices=_rows(fastboot, "fastboot")))
    tools.make("adb", does=_ADB.format(devices=_rows(adb, "device")))


def _rows(serials: tuple[str, ...], state: str) -> str:
    return "".join(f"{serial}\\t{state}\\n" for serial in serials)
