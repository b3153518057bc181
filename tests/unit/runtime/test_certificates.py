"""A certificate whose files change: what is used is always a whole."""

import itertools
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from autodev_cli.certs.authority import Authority, Pair, Subject
from autodev_runtime.certificates import CertificateError, Certificates, agreed
from autodev_runtime.settings import CertificateFiles

DAY = timedelta(days=1)
NAME = "learning.autodev.internal"
SUBJECT = Subject("learning", [NAME], client=True)
BEFORE, AFTER = (Authority.new(DAY) for _ in range(2))
OLD, NEW = BEFORE.issue(SUBJECT, DAY), AFTER.issue(SUBJECT, DAY)


class Files:
    """Three files in a directory."""

    def __init__(self, directory: Path) -> None:
        self.files = CertificateFiles(directory / "tls.crt", directory / "tls.key", directory / "ca.crt")
        self.write(certificate=OLD.certificate, key=OLD.key, authority=BEFORE.pair.certificate)

    def write(self, **contents: bytes | None) -> None:
        for name, content in contents.items():
            path: Path = getattr(self.files, name)
            if content is None:
                path.unlink(missing_ok=True)
            else:
                path.write_bytes(content)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def expiry() -> float | None:
    return REGISTRY.get_sample_value("autodev_certificate_expires_timestamp_seconds", {"certificate": "test"})


def refused() -> float | None:
    return REGISTRY.get_sample_value("autodev_certificate_refused", {"certificate": "test"})


def test_files_that_do_not_change_change_nothing(files: Files) -> None:
    certificates = Certificates("test", files.files, NAME)
    before = certificates.material
    certificates.refresh()
    assert certificates.material is before


@pytest.mark.parametrize("order", list(itertools.permutations(("authority", "certificate", "key"))))
def test_a_renewal_counts_once_all_of_it_is_there(files: Files, order: tuple[str, ...]) -> None:
    certificates = Certificates("test", files.files, NAME)
    before = certificates.material
    new = {"authority": AFTER.pair.certificate, "certificate": NEW.certificate, "key": NEW.key}
    for name in order:
        # As a program writes that does not replace files: empty, then half, then whole.
        for part in (b"", new[name][:100]):
            files.write(**{name: part})
            certificates.refresh()
            assert certificates.material is before
        files.write(**{name: new[name]})
        certificates.refresh()
        if name != order[-1]:
            assert certificates.material is before
    assert certificates.material.certificate == NEW.certificate
    assert certificates.material.key == NEW.key
    assert expiry() == certificates.material.expires.timestamp()


def test_a_file_that_is_gone_or_old_leaves_what_there_was(files: Files, caplog: pytest.LogCaptureFixture) -> None:
    certificates = Certificates("test", files.files, NAME)
    before = certificates.material
    expired = BEFORE.issue(SUBJECT, timedelta(hours=1), now=datetime.now(UTC) - timedelta(hours=2))
    other = BEFORE.issue(Subject("sandbox", ["sandbox.autodev.internal"], client=True), DAY)
    for contents in (
        {"key": None},
        {"certificate": expired.certificate, "key": expired.key},
        {"certificate": other.certificate, "key": other.key},
    ):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            files.write(**contents)
            certificates.refresh()
            certificates.refresh()
        assert certificates.material is before
        assert len(caplog.records) == 1
        assert "stays as it was" in caplog.text
        assert "PRIVATE" not in caplog.text


def test_it_is_told_for_as_long_as_files_are_refused(files: Files) -> None:
    certificates = Certificates("test", files.files, NAME)
    assert refused() == 0
    files.write(key=NEW.key)
    for _ in range(3):
        certificates.refresh()
        assert refused() == 1
    files.write(key=OLD.key)
    certificates.refresh()
    assert refused() == 0
    files.write(certificate=b"")
    certificates.refresh()
    assert refused() == 1
    files.write(authority=AFTER.pair.certificate, certificate=NEW.certificate, key=NEW.key)
    certificates.refresh()
    assert refused() == 0


def test_it_does_not_start_with_files_that_cannot_be_used(files: Files) -> None:
    files.write(key=NEW.key)
    with pytest.raises(CertificateError, match="not the certificate's"):
        Certificates("test", files.files)
    files.write(key=OLD.key, authority=AFTER.pair.certificate)
    with pytest.raises(CertificateError, match="not signed by the authority"):
        Certificates("test", files.files)
    files.write(authority=BEFORE.pair.certificate)
    with pytest.raises(CertificateError, match="is not for the name"):
        Certificates("test", files.files, "sandbox.autodev.internal")
    files.write(authority=None)
    with pytest.raises(CertificateError, match="No such file"):
        Certificates("test", files.files)


def test_two_authorities_may_be_trusted_while_one_takes_over(files: Files) -> None:
    both = BEFORE.pair.certificate + AFTER.pair.certificate
    assert agreed(OLD.certificate, OLD.key, both).authority == both
    assert agreed(NEW.certificate, NEW.key, both).names == {NAME}


@given(
    damaged=st.sampled_from(("certificate", "key", "authority")),
    place=st.floats(0, 1, exclude_max=True),
    change=st.binary(min_size=0, max_size=40),
)
def test_damaged_files_are_refused_or_the_same(damaged: str, place: float, change: bytes) -> None:
    whole = {"certificate": OLD.certificate, "key": OLD.key, "authority": BEFORE.pair.certificate}
    pem = whole[damaged]
    at = int(place * len(pem))
    whole[damaged] = pem[:at] + change + pem[at + len(change) + 1 :]
    try:
        agreed(**whole)
    except CertificateError:
        return
    assert Pair(whole["certificate"], whole["key"])
