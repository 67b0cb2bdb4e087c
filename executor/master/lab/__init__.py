# SPDX-License-Identifier: Apache-2.0
"""What is taken over from a LAVA lab: its device dictionaries, templates and rendered device files."""
