# SPDX-License-Identifier: Apache-2.0
"""What all bootloaders have in common: reach the prompt, type commands, see the kernel start.

The methods in executor/actions/boot/ only say in which order (spec: action-pipeline §2).
"""
