# SPDX-License-Identifier: Apache-2.0
"""Programs that are run, archives, packed streams, disk images: what knows no job and no pipeline."""
