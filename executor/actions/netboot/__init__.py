# SPDX-License-Identifier: Apache-2.0
"""What a board fetches or mounts over the network: its kernel, ramdisk and root file system, made ready."""
