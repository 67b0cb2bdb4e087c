# SPDX-License-Identifier: Apache-2.0
"""What goes on while a test runs: reading the console, typing on it, booking results.

Planning needs none of it.
"""
