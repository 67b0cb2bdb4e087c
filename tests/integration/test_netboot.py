# SPDX-License-Identifier: Apache-2.0
"""What is made for boards, read by the field's own tools: mkimage, cpio, qemu-nbd, a real sshd."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from executor.actions.boot.ssh import PrepareSsh, ScpDeploy, ScpOverlayUnpack, SshConnection
from executor.actions.netboot.nbd import XnbdServerDeploy
from executor.errors import InfrastructureError
from executor.model.device import Device
from executor.testing.netboot import Deployed, board, deployed
from executor.testing.pipeline import Scene, placed
from executor.testing.tarballs import directory, file, write_tar
from executor.tools.image import uimage

URL = "http://h/"


def needs(*tools: str) -> pytest.MarkDecorator:
    """Skip where a tool is not installed; sshd is not in the PATH of users."""
    places = f"{os.environ['PATH']}:/usr/sbin"
    missing = [name for name in tools if shutil.which(name, path=places) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


def said(*argv: str | Path, **keys: Any) -> str:
    done = subprocess.run([str(word) for word in argv], check=True, capture_output=True, timeout=60, **keys)
    return done.stdout.decode()


def tftp(tmp_path: Path, block: dict[str, Any], files: dict[str, bytes], **keys: Any) -> Deployed:
    made = deployed(tmp_path, {"to": "tftp", "os": "debian", **block}, files, **keys)
    if made.outcome.error is not None:
        raise made.outcome.error
    return made


@pytest.fixture
def initramfs(tmp_path: Path) -> bytes:
    """A ramdisk as distributions make them."""
    tree = tmp_path / "tree"
    (tree / "usr" / "lib").mkdir(parents=True)
    (tree / "lib").symlink_to("usr/lib")
    (tree / "init").write_text("#!/bin/sh\n")
    names = "\n".join(str(path.relative_to(tree)) for path in sorted(tree.rglob("*")))
    packed = subprocess.run(
        ["cpio", "-o", "-H", "newc", "--quiet"],
        cwd=tree,
        input=names.encode(),
        capture_output=True,
        check=True,
    )
    return subprocess.run(["gzip", "-9"], input=packed.stdout, capture_output=True, check=True).stdout


@needs("mkimage")
def test_mkimage_reads_a_converted_kernel(tmp_path: Path) -> None:
    kernel = {"url": URL + "Image", "type": "image"}
    made = tftp(tmp_path, {"kernel": kernel}, {URL + "Image": os.urandom(100_000)})
    found = said("mkimage", "-l", made.file("kernel"))
    assert "Image Type:   ARM Linux Kernel Image (uncompressed)" in found
    assert "Data Size:    100000 Bytes" in found
    assert "Load Address: 80200000" in found


@needs("mkimage", "cpio", "gzip")
def test_cpio_unpacks_what_is_behind_the_ramdisk(tmp_path: Path, initramfs: bytes) -> None:
    modules = write_tar(tmp_path / "m.tar", [directory("lib"), file("lib/modules/6.1/a.ko", b"module")])
    files = {URL + "initrd": initramfs, URL + "modules.tar": modules.read_bytes()}
    made = tftp(tmp_path, {"ramdisk": URL + "initrd", "modules": URL + "modules.tar"}, files, tested=True)
    assert "ARM Linux RAMDisk Image" in said("mkimage", "-l", made.file("ramdisk"))
    content = made.file("ramdisk").read_bytes()[uimage.SIZE :]
    assert content.startswith(initramfs)
    behind = content[len(initramfs) + -len(initramfs) % 4 :]
    out = tmp_path / "unpacked"
    out.mkdir()
    said("cpio", "-idm", "--quiet", input=behind, cwd=out)
    # `lib` is a symlink there: the archive must not make it a directory, so modules go to its target.
    assert (out / "usr/lib/modules/6.1/a.ko").read_bytes() == b"module"
    assert not (out / "lib").exists()
    assert (out / "lava-42/bin/lava-test-case").stat().st_mode & 0o111


@needs("mkimage", "cpio")
def test_a_header_that_mkimage_made_is_taken_off_and_put_on(tmp_path: Path, initramfs: bytes) -> None:
    (tmp_path / "plain").write_bytes(initramfs)
    argv = ["mkimage", "-A", "arm", "-O", "linux", "-T", "ramdisk", "-C", "none", "-n", "theirs"]
    said(*argv, "-d", tmp_path / "plain", tmp_path / "packed")
    files = {URL + "initrd.uboot": (tmp_path / "packed").read_bytes()}
    given = {"ramdisk": {"url": URL + "initrd.uboot", "header": "u-boot", "compression": "gz"}}
    kept = tftp(tmp_path / "kept", given, files, tested=True)
    assert "theirs" in said("mkimage", "-l", kept.file("ramdisk"))
    bare = tftp(tmp_path / "bare", given, files, tested=True, device=board(add_header="raw"))
    assert bare.file("ramdisk").read_bytes().startswith(initramfs)


@needs("mkimage", "dtc")
def test_mkimage_makes_a_fit_image(tmp_path: Path, initramfs: bytes) -> None:
    known = board(add_header=None)
    known["actions"]["boot"]["methods"] = {"depthcharge": None}
    known["parameters"]["load_address"] = "0x100000"
    source = b'/dts-v1/; / { compatible = "demo"; };'
    tree = subprocess.run(["dtc", "-O", "dtb"], input=source, capture_output=True, check=True).stdout
    files = {URL + "zImage": b"kernel", URL + "board.dtb": tree, URL + "initrd": initramfs}
    block = {"kernel": URL + "zImage", "dtb": URL + "board.dtb", "ramdisk": URL + "initrd"}
    found = said("mkimage", "-l", tftp(tmp_path, block, files, device=known).file("kernel"))
    assert "FIT description" in found
    assert all(kind in found for kind in ("Kernel Image", "Flat Device Tree", "RAMDisk Image"))


@needs("qemu-nbd", "qemu-img", "mke2fs", "debugfs")
def test_the_root_is_served_with_the_overlay_in_it(tmp_path: Path) -> None:
    image = tmp_path / "root.ext4"
    said("mke2fs", "-q", "-t", "ext4", image, "16M")
    scene = Scene(tmp_path, clock=time.monotonic, dispatcher_ip="127.0.0.1")
    scene.artifact("nbdroot", image.read_bytes())
    scene.namespace.overlay = write_tar(
        tmp_path / "o.tar.gz", [directory("lava-42"), file("lava-42/x", b"here")], "gz"
    )
    action = placed(XnbdServerDeploy())
    assert isinstance(action, XnbdServerDeploy)
    action.tested = True
    scene.run(action)
    try:
        port = scene.namespace.substitutions["{NBDSERVERPORT}"]
        said("qemu-img", "convert", "-O", "raw", f"nbd://127.0.0.1:{port}", tmp_path / "copy")
        said("qemu-img", "info", f"nbd://127.0.0.1:{port}")  # a second client, as after a reset
        assert said("debugfs", "-R", "cat /lava-42/x", tmp_path / "copy") == "here"
    finally:
        scene.context.closing.close()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(port))) != 0


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[dict[str, Any]]:
    """An sshd on loopback that lets one key in; the options of the device."""
    if os.geteuid() != 0:
        pytest.skip("sshd gives terminals only where root runs it")
    for name in ("host", "client"):
        said("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name)
    (tmp_path / "client.pub").rename(tmp_path / "authorized")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    lines = [
        f"HostKey {tmp_path}/host",
        f"AuthorizedKeysFile {tmp_path}/authorized",
        "StrictModes no",
        "PasswordAuthentication no",
        f"PidFile {tmp_path}/pid",
        "Subsystem sftp internal-sftp",
    ]
    (tmp_path / "config").write_text("\n".join(lines) + "\n")
    program = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
    argv = [
        str(program),
        "-D",
        "-e",
        "-f",
        str(tmp_path / "config"),
        "-p",
        str(port),
        "-o",
        "ListenAddress=127.0.0.1",
    ]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            for line in server.stderr:
                if "Server listening" in line:
                    break
            else:
                pytest.skip("sshd does not start here")
            user = said("id", "-un").strip()
            yield {"host": "127.0.0.1", "port": port, "user": user, "identity_file": str(tmp_path / "client")}
        finally:
            server.terminate()


@needs("sshd", "ssh", "scp", "ssh-keygen")
def test_a_device_behind_a_real_sshd(tmp_path: Path, sshd: dict[str, Any]) -> None:
    scene = Scene(tmp_path, device=Device(deploy_methods={"ssh": sshd}), clock=time.monotonic)
    namespace = scene.namespace
    namespace.results_dir, namespace.prompts = f"{tmp_path}/lava-42", ["ready> "]
    name = f"{tmp_path}/lava-42".lstrip("/")
    namespace.overlay = write_tar(tmp_path / "o.tar.gz", [file(f"{name}/x", b"here")], "gz")
    for action in (ScpDeploy(), PrepareSsh()):
        scene.run(placed(action, section="boot"))
    connection = placed(SshConnection(), section="boot")
    attempt = scene.run(connection)
    try:
        assert namespace.console is not None
        namespace.console.send_line("PS1='ready> '; export PS1")
        namespace.console.expect("ready> ", attempt.deadline)
        scene.run(placed(ScpOverlayUnpack(), section="boot"))
    finally:
        connection.cleanup(attempt)
    assert (tmp_path / "lava-42" / "x").read_bytes() == b"here"
    assert not list(tmp_path.glob("lava-42-*"))


@needs("sshd", "ssh", "scp", "ssh-keygen")
def test_a_key_that_is_not_let_in(tmp_path: Path, sshd: dict[str, Any]) -> None:
    (tmp_path / "authorized").write_text("")
    scene = Scene(tmp_path, device=Device(deploy_methods={"ssh": sshd}), clock=time.monotonic)
    with pytest.raises(InfrastructureError, match="no login at .* by ssh"):
        scene.run(placed(PrepareSsh(), section="boot"))
