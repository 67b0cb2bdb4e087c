# SPDX-License-Identifier: Apache-2.0
"""`lava-exec reproduce`: a job once more from its stored launch spec, or a shell in the same container."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from executor.cli.app import App, app
from executor.cli.group import command
from executor.errors import ExitCode, LavaExecError, UsageError

if TYPE_CHECKING:
    from executor.container.engine import Engine
    from executor.reproduce.rerun import Rerun
    from executor.reproduce.source import Original

PREFETCH_SECONDS = 1800.0


@command(
    "reproduce",
    help="""Run a job again from what was kept: same launch spec, same image, same artefacts by hash.

    WHAT is a bundle, the id or directory of a run on this machine, or a job's id: it is looked for on this
    machine first, then at the master. No master or agent takes part in the run. Its verdict and results are
    compared with the original's. The exit code is the rerun's, or with --expect-same 0 when it came out the
    same and 1 when not.""",
    examples=(
        "lava-exec reproduce 12",
        "lava-exec reproduce job-12.tar.zst --expect-same",
        "lava-exec reproduce 12 --shell",
        "git bisect run lava-exec reproduce 12 --set kernel=arch/arm64/boot/Image -q",
    ),
)
@click.argument("what")
@click.option("--set", "replace", multiple=True, metavar="LABEL=FILE", help="Use this file for an artefact.")
@click.option(
    "--secret", "secrets", multiple=True, metavar="NAME=@FILE", help="Secret from a file; repeatable."
)
@click.option(
    "--shell", "shell", is_flag=True, help="Open a shell in the container instead of running the job."
)
@click.option("--expect-same", is_flag=True, help="Exit 0 when verdict and all results are the same, else 1.")
def reproduce(
    *, what: str, replace: tuple[str, ...], secrets: tuple[str, ...], shell: bool, expect_same: bool
) -> int:
    from executor.cli.origin import find_original
    from executor.cli.run import host, read_replacements
    from executor.cli.runs import new_id
    from executor.cli.submit import read_secret
    from executor.reproduce.rerun import prepare

    here = app()
    if shell and expect_same:
        raise UsageError("--shell and --expect-same exclude each other")
    job_id = new_id()
    with find_original(here, what, f"{job_id}-original") as original:
        engine, facts = host(here, original.spec.needs)
        rerun = prepare(
            original,
            job_id=job_id,
            facts=facts,
            state=here.state_path,
            replace=read_replacements(replace),
            secrets=dict(map(read_secret, secrets)),
        )
        for note in rerun.notes:
            here.warn(note)
        again = _Again(here, original, engine, rerun)
        return again.shell() if shell else again.run(expect_same)


class _Again:
    """The rerun of one job."""

    def __init__(self, here: App, original: Original, engine: Engine, rerun: Rerun) -> None:
        from executor.cli.local import LocalRun, open_cache
        from executor.cli.runs import new_directory
        from executor.reproduce.images import DockerImages
        from executor.reproduce.rerun import bring_artefacts, bring_image, bring_sources, has_image

        bring_image(original, engine, DockerImages() if has_image(original) else None)
        cache = open_cache(here)
        bring_artefacts(original, cache.store)
        directory = new_directory(here, rerun.spec.job_id)
        self._here, self._original, self._rerun = here, original, rerun
        self._local = LocalRun(here, engine, directory, show_log=not (here.json or here.quiet), cache=cache)
        bring_sources(original, self._local.directory)

    def run(self, expect_same: bool) -> int:
        """To its end, then compared with the original."""
        from executor.cli.run import tell
        from executor.reproduce.compare import compare

        outcome, summary = self._local.run(self._rerun.launch, self._rerun.spec)
        comparison = compare(self._original.summary(), summary)
        tell(self._here, outcome, summary, self._local.directory.path, comparison)
        if expect_same:
            return int(ExitCode.OK if comparison.same else ExitCode.TEST_FAILED)
        return outcome.end.exit_code

    def shell(self) -> int:
        """The container idles while the shell runs in it; afterwards nothing of it is kept."""
        import msgspec

        from executor.reproduce.shell import IDLE, SHELL, attach

        session = self._local.session
        session.start(self._rerun.launch, msgspec.structs.replace(self._rerun.spec, command=list(IDLE)))
        try:
            self._explain()
            return attach(session.container, list(SHELL))
        finally:
            self._end()

    def _explain(self) -> None:
        """Bring the artefacts, then say what lies where."""
        from executor.cli.origin import progress_bar
        from executor.model.deadline import Deadline
        from executor.reproduce.shell import prefetch

        here, rerun = self._here, self._rerun
        socket, deadline = self._local.directory.run / "agent.sock", Deadline.after(PREFETCH_SECONDS)
        with progress_bar(here) as report:
            found = prefetch(socket, list(rerun.launch.fixed), deadline, report=report)
        here.say(f"in the container of job {self._original.job_id}, image {rerun.spec.image_digest[:19]}")
        here.say("  /job      job.yaml, device.yaml, worker.yaml")
        for label, path in found.items():
            here.say(f"  {label:9} {path}")
        here.say("  `python -m executor.runner` runs the job here; `exit` leaves, and nothing is kept")

    def _end(self) -> None:
        try:
            self._local.session.cancel("the shell was left")
            self._local.session.finish()
        except LavaExecError as error:
            self._here.warn(f"{error.message} {error.hint}".rstrip())
        self._local.directory.remove()
