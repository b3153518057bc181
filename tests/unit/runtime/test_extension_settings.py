"""Where extensions may be."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from autodev_capability.maturity import Maturity
from autodev_capability.settings import CapabilitySettings
from autodev_fitness.settings import FitnessSettings


def test_extensions_are_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTODEV_FITNESS_EXTENSIONS", "acme.cost=127.0.0.1:7001, acme.risk=tls://risk.example:443")
    assert FitnessSettings().extensions == {"acme.cost": "127.0.0.1:7001", "acme.risk": "tls://risk.example:443"}


@pytest.mark.parametrize("address", ["127.0.0.1:7001", "localhost:1", "[::1]:7001", "unix:/run/cost", "tls://a.b:443"])
def test_plain_text_stays_on_this_machine(address: str) -> None:
    assert FitnessSettings(extensions={"acme.cost": address}).extensions


@pytest.mark.parametrize(
    ("stated", "told"),
    [
        ("acme.cost=risk.example:443", "another machine"),
        ("acme.cost=10.0.0.7:443", "another machine"),
        ("acme.cost=0.0.0.0:443", "another machine"),
        ("acme.cost=127.0.0.1", "no address"),
        ("acme.cost=127.0.0.1:0", "no address"),
        ("acme.cost=tls://:443", "no address"),
        ("acme.cost=http://127.0.0.1:7001", "another machine"),
        ("acme.cost", "is not name=value"),
        ("a b=127.0.0.1:1", "is not name=value"),
        ("a=127.0.0.1:1,a=127.0.0.1:2", "twice"),
        (",".join(f"a{number}=127.0.0.1:1" for number in range(33)), "is the most"),
    ],
)
def test_what_is_no_safe_address_is_refused(monkeypatch: pytest.MonkeyPatch, stated: str, told: str) -> None:
    monkeypatch.setenv("AUTODEV_FITNESS_EXTENSIONS", stated)
    with pytest.raises(ValidationError, match=told):
        FitnessSettings()


def test_a_certificate_needs_its_key_and_an_authority() -> None:
    with pytest.raises(ValidationError, match="go together"):
        FitnessSettings(extension_cert_file=Path("c.pem"))
    with pytest.raises(ValidationError, match="who vouches"):
        FitnessSettings(extension_cert_file=Path("c.pem"), extension_key_file=Path("k.pem"))


def test_a_fitness_functions_version_is_of_one_that_is_stated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTODEV_FITNESS_EXTENSION_VERSIONS", "acme.cost=2")
    with pytest.raises(ValidationError, match=r"names what extensions does not: acme\.cost"):
        FitnessSettings()
    monkeypatch.setenv("AUTODEV_FITNESS_EXTENSIONS", "acme.cost=127.0.0.1:7001")
    assert FitnessSettings().extension_versions == {"acme.cost": "2"}
    monkeypatch.setenv("AUTODEV_FITNESS_EXTENSION_VERSIONS", "acme.cost=" + "2" * 65)
    with pytest.raises(ValidationError, match="at most 64 characters"):
        FitnessSettings()


def test_a_gate_says_which_maturity_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTODEV_CAPABILITY_EXTENSIONS", "acme.deploy=127.0.0.1:7001")
    with pytest.raises(ValidationError, match=r"acme\.deploy"):
        CapabilitySettings()
    monkeypatch.setenv("AUTODEV_CAPABILITY_EXTENSION_LEVELS", "acme.deploy=supervised")
    assert CapabilitySettings().extension_levels == {"acme.deploy": Maturity.SUPERVISED}
    monkeypatch.setenv("AUTODEV_CAPABILITY_EXTENSION_LEVELS", "acme.deploy=trusted")
    with pytest.raises(ValidationError, match="trusted"):
        CapabilitySettings()
