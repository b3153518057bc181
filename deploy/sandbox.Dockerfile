# What executions see at the container levels, where a registry is at hand. Without one: make sandbox-image.
#
#   docker build -f deploy/sandbox.Dockerfile -t registry.example/autodev-sandbox:1 .
#   AUTODEV_SANDBOX_IMAGE=registry.example/autodev-sandbox:1
#
# BASE is any image with Python 3.11 or later and ldd, and pip for PACKAGES ("numpy==2.1.3 six==1.17.0"). Nothing of it is
# in the result but Python, its standard library and the shared libraries both need: no shell, no package manager.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
ARG PACKAGES=""
ENV AUTODEV_SANDBOX_PACKAGES=${PACKAGES} PYTHONPATH=/src/services/sandbox:/src/libs/runtime
COPY libs/runtime /src/libs/runtime
COPY services/sandbox /src/services/sandbox
RUN ["python3", "-m", "autodev_sandbox.rootfs", "/sandbox"]

FROM scratch
COPY --from=build /sandbox /
USER 65534:65534
WORKDIR /tmp
