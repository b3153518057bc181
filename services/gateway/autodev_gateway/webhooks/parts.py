"""Where the parts of webhooks meet."""

import asyncio
import contextlib
import ssl
from functools import partial

import grpc

from autodev.fitness.v1.fitness_service_pb2_grpc import FitnessServiceStub
from autodev_gateway.webhooks.delivery import Delivery, Patience
from autodev_gateway.webhooks.door import Door, DoorBounds
from autodev_gateway.webhooks.limits import RateLimit
from autodev_gateway.webhooks.settings import WebhookSettings
from autodev_gateway.webhooks.sources import Sources
from autodev_gateway.webhooks.store import ReceiptStore
from autodev_runtime.clients import ask
from autodev_runtime.database import Database
from autodev_runtime.settings import CertificateFiles
from autodev_sdk.ending import until_one_fails

CERTIFICATE_LOOK_S = 10.0


class Webhooks:
    """Takes webhooks in, and passes them on, while `run` runs."""

    def __init__(
        self,
        settings: WebhookSettings,
        database: Database,
        fitness: grpc.aio.Channel,
        certificate: CertificateFiles | None,
    ) -> None:
        """Raises SecretsFileError."""
        from autodev_gateway.webhooks.http import HttpBounds, HttpServer

        assert settings.webhook_secrets_file is not None
        self._address = settings.webhook_host, settings.webhook_port
        self._certificate = certificate
        self._sources = Sources(settings.webhook_secrets_file)
        store = ReceiptStore(database)
        self._delivery = Delivery(
            store,
            partial(ask, FitnessServiceStub(fitness).EvaluateDelayedWebhook),
            Patience(settings.webhook_give_up_s, settings.webhook_unknown_variant_s, settings.webhook_keep_s),
        )
        door = Door(
            self._sources,
            store,
            self._delivery,
            RateLimit(settings.webhook_rate_per_s, settings.webhook_burst),
            DoorBounds(settings.webhook_tolerance_s, settings.webhook_max_pending),
        )
        self.server: HttpServer = HttpServer(
            door,
            HttpBounds(
                settings.webhook_max_body_bytes,
                settings.webhook_receive_s,
                settings.webhook_answer_s,
                settings.webhook_max_connections,
            ),
        )

    async def run(self) -> None:
        """Serve, for ever."""
        tls = _context(self._certificate) if self._certificate is not None else None
        renewing = [_renew(tls, self._certificate)] if tls is not None and self._certificate is not None else []
        async with self.server.serving(*self._address, tls):
            await until_one_fails(self._sources.watch(), self._delivery.run(), *renewing)


def _context(certificate: CertificateFiles) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate.certificate, certificate.key)
    return context


async def _renew(context: ssl.SSLContext, certificate: CertificateFiles) -> None:
    """Show new connections the certificate that the files hold now, for ever."""
    seen = _changed(certificate)
    while True:
        await asyncio.sleep(CERTIFICATE_LOOK_S)
        if (now := _changed(certificate)) != seen:
            with contextlib.suppress(OSError):
                # Tried apart first: where only one of the two is written yet, the context would be left without a key.
                _context(certificate)
                context.load_cert_chain(certificate.certificate, certificate.key)
                seen = now


def _changed(certificate: CertificateFiles) -> tuple[int, ...]:
    try:
        return tuple(path.stat().st_mtime_ns for path in (certificate.certificate, certificate.key))
    except OSError:
        return ()
