# SPDX-License-Identifier: Apache-2.0
"""lava-exec: run each YAML test job in a fresh container of its own."""

__version__ = "0.1.0"
