# SPDX-License-Identifier: Apache-2.0
"""Boards that are flashed and started by Android's tools, `fastboot` and `adb`."""
