# SPDX-License-Identifier: Apache-2.0
"""An earlier run as files: a job's directory on this host or an unpacked bundle, of the same shape."""

from __future__ import annotations

from pathlib import Path

import msgspec
import yaml

from executor.container.jobdir import Artefact, JobDirectory
from executor.errors import InfrastructureError, LavaExecError, UsageError
from executor.model.launch import LaunchSpec
from executor.model.worker import Worker
from executor.report.summarize import summarize
from executor.report.summary import Summary

MASK = "[MASKED]"


class Original:
    """What running it again needs. `artefacts_directory`: artefacts by hash that came along, or None."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._files = JobDirectory(directory)
        bundled = directory / "artefacts"
        self.artefacts_directory = bundled if bundled.is_dir() else None
        try:
            self.spec: LaunchSpec = self._files.read_spec()
            self.worker: Worker = self._files.read_worker()
            self.device = self._files.read_device()
            self.text = (directory / "job" / "job.yaml").read_text(encoding="utf-8")
        except (OSError, LavaExecError, msgspec.ValidationError, UnicodeDecodeError) as error:
            reason = getattr(error, "message", None) or str(error)
            raise UsageError(
                f"{directory} does not hold a job that can be run again: {reason}",
                "A job that never got a container left nothing to run again; submit it anew.",
            ) from None

    @property
    def job_id(self) -> str:
        return self.spec.job_id

    @property
    def artefacts(self) -> list[Artefact]:
        """What was fetched, with the hashes that it had."""
        return self._files.artefacts()

    @property
    def sources(self) -> list[Path]:
        """The kept repositories of test definitions, `<namespace>-<index>.tar.gz`."""
        return sorted((self.directory / "out" / "sources").glob("*.tar.gz"))

    @property
    def journal(self) -> Path:
        return self._files.journal

    def summary(self) -> Summary:
        """Results and verdict of the earlier run. Raises InfrastructureError when its journal is gone."""
        try:
            return summarize(self.journal)
        except OSError as error:
            raise InfrastructureError(f"the journal of the earlier run cannot be read: {error}") from None

    @property
    def secret_names(self) -> list[str]:
        """Names of the job's secrets; their values are nowhere in these files."""
        try:
            data = yaml.load(self.text, yaml.CSafeLoader)  # noqa: S506 - a safe loader
        except yaml.YAMLError:
            return []
        found = data.get("secrets") if isinstance(data, dict) else None
        names = [str(name) for name in found] if isinstance(found, dict) else []
        return list(dict.fromkeys([*names, *self.worker.secret_names]))


def pinned_sources(original: Original) -> dict[str, dict[str, str]]:
    """For `Worker.pinned`: each kept repository by namespace and index, with the commit that it was at.

    The paths are as the container sees them without the leading slash: the archives lie beside the job's
    definition, read-only at /job.
    """
    commits = {}
    for case in original.summary().cases:
        index = case.name.partition("_")[0]
        if case.suite == "lava" and index.isdigit() and case.record.get("commit_id"):
            namespace = str(case.record.get("namespace") or "common")
            commits[f"{namespace}-{index}"] = str(case.record["commit_id"])
    pinned = {}
    for path in original.sources:
        name = path.name.removesuffix(".tar.gz")
        namespace, _, index = name.rpartition("-")
        pinned[f"definition:{namespace}:{index}"] = {
            "path": f"job/sources/{path.name}",
            "commit_id": commits.get(name, ""),
        }
    return pinned
