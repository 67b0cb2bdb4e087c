# SPDX-License-Identifier: Apache-2.0
"""Arm Virtual Hardware: boards that a cloud service simulates. Shared by deploy and boot `avh`."""
