# SPDX-License-Identifier: Apache-2.0
"""The stored spec for another run: what stays, what is of this host, what is refused."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from executor.container.jobdir import Artefact, JobDirectory
from executor.container.store import Store
from executor.errors import ConfigurationError, InfrastructureError, UsageError
from executor.model.deadline import Deadline
from executor.model.launch import DeviceRule, HostFacts
from executor.reproduce.rerun import (
    adapt,
    bring_artefacts,
    bring_image,
    bring_sources,
    local_files,
    lock_name,
    prepare,
)
from executor.reproduce.source import Original

HERE = HostFacts(uid=1000, gid=1000, kvm=True, kvm_gid=36, cpus=2, memory_mib=4096)
SECRETS = {"TOKEN": "x"}


class Engine:
    """Knows some images by their digest."""

    def __init__(self, *digests: str) -> None:
        self.digests = list(digests)

    def image_digest(self, reference: str, deadline: Deadline) -> str:
        return reference if reference in self.digests else ""


def test_the_spec_stays_but_for_name_and_host(original: Original, tmp_path: Path) -> None:
    made = prepare(original, job_id="r1", facts=HERE, state=tmp_path, secrets=SECRETS)
    spec, before = made.spec, original.spec
    assert (spec.image, spec.image_digest, spec.command) == (
        before.image,
        before.image_digest,
        before.command,
    )
    assert spec.job_id == "r1"
    assert spec.hostname == "job-r1"
    assert spec.user == "1000:1000"
    assert spec.groups == [20, 36]
    assert spec.nodes == before.nodes
    assert [m.target for m in spec.mounts] == ["/srv/tftp/r1", "/out"]
    assert spec.memory_mib == 2048
    assert spec.cpus == 2.0
    assert spec.environment == {"HOME": "/work"}
    assert made.notes == []


def test_proxies_and_certificates_are_those_of_this_host(original: Original) -> None:
    facts = msgspec.structs.replace(HERE, http_proxy={"https_proxy": "http://new:2"}, ca_bundle="/etc/ca.crt")
    spec, _ = adapt(original.spec, facts)
    assert spec.environment["https_proxy"] == "http://new:2"
    assert "http_proxy" not in spec.environment
    assert spec.environment["CURL_CA_BUNDLE"] == "/job/ca.crt"


def test_the_launch_names_the_first_run_and_its_bytes(original: Original, tmp_path: Path) -> None:
    launch = prepare(original, job_id="r1", facts=HERE, state=tmp_path, secrets=SECRETS).launch
    assert launch.text == original.text
    assert launch.secrets == SECRETS
    assert list(launch.fixed) == original.artefacts
    assert launch.device_name == ""
    worker = launch.worker
    assert (worker.job_id, worker.attempt_of, worker.accelerator) == ("r1", "42", "kvm")
    assert worker.pinned == {
        "definition:common:0": {"path": "job/sources/common-0.tar.gz", "commit_id": "c0ffee"}
    }


def test_an_artefact_can_be_replaced(original: Original, tmp_path: Path, kernel: Path) -> None:
    made = prepare(
        original, job_id="r1", facts=HERE, state=tmp_path, secrets=SECRETS, replace={"kernel": kernel}
    )
    assert made.launch.worker.replace == {"kernel": str(kernel)}
    assert made.launch.files == [kernel]
    assert len(made.notes) == 1


def test_local_files_of_the_job_may_be_read_again(original: Original) -> None:
    assert local_files(original) == []
    JobDirectory(original.directory).write_artefacts([Artefact("file:///srv/my%20images/Image", "0" * 64)])
    assert local_files(original) == [Path("/srv/my images/Image")]


def test_labels_and_files_of_set_are_checked(original: Original, tmp_path: Path, kernel: Path) -> None:
    for replace, text in (
        ({"krenel": kernel}, "krenel"),
        ({"kernel": tmp_path / "none"}, "there is no file"),
    ):
        with pytest.raises(UsageError, match=text):
            prepare(original, job_id="r", facts=HERE, state=tmp_path, secrets=SECRETS, replace=replace)


def test_a_secret_must_be_given_again(original: Original, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="TOKEN"):
        prepare(original, job_id="r1", facts=HERE, state=tmp_path)


def test_without_kvm_it_runs_emulated_and_says_so(original: Original, tmp_path: Path) -> None:
    facts = msgspec.structs.replace(HERE, kvm=False, kvm_gid=-1, kvm_reason="no such device")
    made = prepare(original, job_id="r1", facts=facts, state=tmp_path, secrets=SECRETS)
    assert made.spec.nodes == []
    assert made.spec.groups == [20]
    assert made.launch.worker.accelerator == "tcg"
    assert "no such device" in made.notes[0]


def test_less_memory_than_the_original_is_said(original: Original) -> None:
    spec, notes = adapt(original.spec, msgspec.structs.replace(HERE, memory_mib=1024))
    assert spec.memory_mib == 1024
    assert "2048" in notes[0]


def test_an_engine_that_cannot_hold_device_rules_is_refused(original: Original) -> None:
    spec = msgspec.structs.replace(original.spec, device_rules=[DeviceRule("c", 188)])
    with pytest.raises(ConfigurationError):
        adapt(spec, msgspec.structs.replace(HERE, engine="podman", device_rules=False))


def test_an_image_that_is_there_needs_nothing(original: Original) -> None:
    bring_image(original, Engine(original.spec.image_digest), None)  # type: ignore[arg-type]


def test_a_missing_image_is_named_with_its_digest(original: Original) -> None:
    with pytest.raises(InfrastructureError) as caught:
        bring_image(original, Engine(), None)  # type: ignore[arg-type]
    assert original.spec.image_digest in caught.value.message
    assert "docker load" in caught.value.hint


def test_an_image_comes_out_of_the_bundle(original: Original) -> None:
    engine = Engine()
    (original.directory / "image.tar").write_bytes(b"layers")

    class Loading:
        tags: list[tuple[str, str, str]] = []

        def save(self, digest: str) -> list[bytes]:
            raise AssertionError("nobody saves")

        def load(self, file: Path) -> None:
            assert file.read_bytes() == b"layers"
            engine.digests.append(original.spec.image_digest)

        def tag(self, digest: str, repository: str, tag: str) -> None:
            self.tags.append((digest, repository, tag))

    images = Loading()
    bring_image(original, engine, images)  # type: ignore[arg-type]
    assert images.tags == [(original.spec.image_digest, "lava-exec/bundle", "1" * 12)]


def test_another_image_in_the_bundle_is_refused(original: Original) -> None:
    (original.directory / "image.tar").write_bytes(b"layers")

    class Other:
        def load(self, file: Path) -> None:
            pass

    with pytest.raises(InfrastructureError, match="not sha256"):
        bring_image(original, Engine(), Other())  # type: ignore[arg-type]


def test_artefacts_of_a_bundle_enter_the_cache_once(original: Original, tmp_path: Path, kernel: Path) -> None:
    (original.directory / "artefacts").mkdir()
    sha256 = original.artefacts[0].sha256
    (original.directory / "artefacts" / sha256).write_bytes(kernel.read_bytes())
    store = Store(tmp_path / "cache", keep_free=0)
    again = Original(original.directory)
    assert bring_artefacts(again, store) == 1
    assert store.path(sha256).read_bytes() == kernel.read_bytes()
    assert bring_artefacts(again, store) == 0
    assert bring_artefacts(original, store) == 0


def test_sources_lie_where_the_pins_say(original: Original, tmp_path: Path) -> None:
    directory = JobDirectory(tmp_path / "new")
    bring_sources(original, directory)
    assert (directory.path / "job" / "sources" / "common-0.tar.gz").is_file()


def test_only_real_devices_are_locked() -> None:
    assert lock_name({"hostname": "bbb-01", "commands": {"connect": "telnet h 1"}}) == "bbb-01"
    assert lock_name({"hostname": "usb-01", "device_info": [{"board_id": "1"}]}) == "usb-01"
    assert lock_name({"hostname": "qemu-01", "commands": {}}) == ""
