# SPDX-License-Identifier: Apache-2.0
"""`apply-overlay`: the tests in a sparse image before it is flashed (spec: job-format §5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from executor.actions.guest import apply_overlay
from executor.actions.overlayimage import ApplyOverlayImage
from executor.errors import JobError

if TYPE_CHECKING:
    from executor.pipeline.run import Run


class ApplyOverlaySparseImage(ApplyOverlayImage):
    """Into an Android sparse image, which is made plain for it and sparse again."""

    name = "apply-overlay-sparse-image"
    summary = "put the overlay into a sparse image"
    description = "make the sparse image plain, put the overlay into it, make it sparse again"

    def run(self, run: Run) -> None:
        from executor.tools.image.android import is_sparse, to_plain, to_sparse

        artifact = run.namespace.artifacts[self.key]
        if not is_sparse(artifact.path):
            raise JobError(
                f"{self.key} is not an Android sparse image", "say `sparse: false` for a plain one"
            )
        place = run.context.work / f"{artifact.safe_label}-{self.level}"
        plain, sparse = place.with_suffix(".plain"), place.with_suffix(".sparse")
        to_plain(artifact.path, plain, deadline=run.deadline)
        artifact.path, artifact.shared = plain, False
        apply_overlay(run, artifact, self.resource, [])
        size = to_sparse(artifact.path, sparse, deadline=run.deadline)
        plain.unlink()
        artifact.path, artifact.size = sparse, size
        run.results["size"] = size
