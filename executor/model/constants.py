# SPDX-License-Identifier: Apache-2.0
"""What holds when a device file says nothing (spec: device-config §5). Patterns are regular expressions."""

from __future__ import annotations

from typing import Any

# Text of boot loaders that means: this boot has failed.
_NETWORK = [
    r"[Rr]etry (count|time) exceeded",
    r"TFTP error|[Tt]ftp failed|TFTP failed",
    r"[Nn]etwork is unreachable",
    r"\bTIMEOUT\b",
    r"remote end did not respond",
    r"[Cc]onnection timed out",
]
_FILES = [
    r"[Ff]ile .{0,200}not found|File not found",
    r"[Uu]n(known|recognized) filesystem",
    r"[Ii]nvalid partition",
]
_IMAGES = [
    r"Bad Linux \S+ [zI]?[Ii]mage magic",
    r"Wrong (Ramdisk )?Image Format",
    r"Ramdisk image is corrupt or invalid",
    r"ERROR: Failed to allocate",
    r"overlaps OS image",
    r"zimage: Bad magic",
]
_RESET = [r"Resetting CPU", r"(Must|Please) RESET (the )?board"]
_SYMBOLS = [r"error: (missing .{0,200}symbol|symbol .{0,200}not found)"]
_GRUB = [
    *_NETWORK,
    *_FILES,
    *_SYMBOLS,
    r"error: (no such device|timeout reading|couldn't (send|autoconfigure))",
]
_U_BOOT = [*_RESET, *_NETWORK, *_FILES, *_IMAGES]
_KERNEL = "Starting kernel"

DEFAULTS: dict[str, dict[str, Any]] = {
    "": {
        "shutdown-message": "The system is going down for reboot NOW",
        "kernel-start-message": "Linux version [0-9]",
        "default-shell-prompt": "lava-test: # ",
        "spawn_maxread": "4092",
        "failure_retry": 1,
    },
    "posix": {
        "lava_test_sh_cmd": "/bin/sh",
        "lava_test_results_dir": "/lava-%s",
        "lava_test_shell_file": "~/.bashrc",
    },
    "u-boot": {
        "interrupt-prompt": "Hit any key to stop autoboot",
        "interrupt-character": " ",
        "interrupt-newline": True,
        "interrupt_ctrl_list": [],
        "final-message": _KERNEL,
        "error-messages": _U_BOOT,
        "dfu-download": r"DOWNLOAD \.\.\. OK\s+Ctrl\+C to exit",
    },
    "barebox": {
        "interrupt-prompt": "Hit m for menu or any (other )?key to stop autoboot",
        "interrupt-character": "\n",
        "interrupt-newline": True,
        "interrupt_ctrl_list": [],
        "final-message": _KERNEL,
        "error-messages": _U_BOOT,
    },
    "depthcharge": {"final-message": _KERNEL, "error-messages": _U_BOOT},
    "grub": {
        "interrupt-prompt": "for a command-line",
        "interrupt-character": "c",
        "interrupt-newline": False,
        "interrupt_ctrl_list": [],
        "error-messages": _GRUB,
    },
    "grub-efi": {
        "interrupt-prompt": "for a command-line",
        "interrupt-character": "c",
        "interrupt-newline": False,
        "interrupt_ctrl_list": [],
        "error-messages": _GRUB,
    },
    "ipxe": {
        "interrupt-prompt": "Press Ctrl-B",
        "interrupt-character": "",
        "interrupt-newline": True,
        "interrupt_ctrl_list": ["b"],
        "error-messages": [*_NETWORK, *_FILES, r"No configuration methods succeeded"],
    },
}
