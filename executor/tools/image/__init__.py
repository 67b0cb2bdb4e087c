# SPDX-License-Identifier: Apache-2.0
"""Image tools: unpack, identify, copy, and put overlays into images without root, mounts or loop devices."""
