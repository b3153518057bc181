"""The container image: the sandbox's root directory, imported as it is. No registry, no base image.

`python -m autodev_sandbox.image` builds it ahead of time; the container backend builds it when it is missing.
"""

import sys
import tarfile
import tempfile
from pathlib import Path
from typing import IO

import docker
import docker.errors
import requests
from pydantic import ValidationError

from autodev_sandbox import rootfs
from autodev_sandbox.execution import BackendUnavailable
from autodev_sandbox.settings import SandboxSettings

REPOSITORY = "autodev-sandbox"


def ensure_image(client: docker.DockerClient, cache: Path, pins: tuple[str, ...] = ()) -> str:
    """The image's name, made first where it is missing; the tag is its files' digest. Raises BackendUnavailable."""
    root = rootfs.ensure_root(cache, pins)
    name = f"{REPOSITORY}:{rootfs.digest_of(root)}"
    try:
        client.images.get(name)
    except docker.errors.ImageNotFound:
        import_root(client, root, name)
    return name


def ensure_given_image(client: docker.DockerClient, name: str) -> str:
    """An image that the operator named, pulled first where the engine does not have it. Raises BackendUnavailable."""
    try:
        client.images.get(name)
    except docker.errors.ImageNotFound:
        try:
            client.images.pull(name)
        except docker.errors.APIError as error:
            raise BackendUnavailable(
                f"AUTODEV_SANDBOX_IMAGE: the engine neither has {name} nor can pull it: {error.explanation}"
            ) from error
    return name


def import_root(client: docker.DockerClient, root: Path, name: str) -> None:
    repository, tag = name.split(":")
    with tempfile.TemporaryFile() as packed:
        pack(root, packed)
        packed.seek(0)
        answer = client.api.import_image_from_data(packed, repository=repository, tag=tag)
    try:
        client.images.get(name)
    except docker.errors.ImageNotFound:
        raise BackendUnavailable(f"the engine did not take the image: {str(answer)[-300:]}") from None


def pack(root: Path, target: IO[bytes]) -> None:
    with tarfile.open(fileobj=target, mode="w") as tar:
        tar.add(root, arcname=".", filter=owned_by_root)


def owned_by_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Whoever made the files: the sandbox's user must not be able to change them."""
    if member.name == "./tmp":
        # runc gives what it mounts the mode of the directory below, whatever mode was asked for.
        member.mode = 0o1777
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    return member


def main() -> None:
    try:
        settings = SandboxSettings()
        print(ensure_image(docker.from_env(), settings.cache_dir, settings.packages))
    except (docker.errors.DockerException, requests.RequestException, BackendUnavailable, ValidationError) as error:
        sys.exit(f"The image cannot be built: {error}")


if __name__ == "__main__":
    main()
