#!/bin/sh
# Builds the client. Needs Go, and Node for buf.
set -eu
cd "$(dirname "$0")"
GOBIN="$PWD/bin" go install tool
PATH="$PWD/bin:$PATH" npx --yes @bufbuild/buf@1.75.0 generate ../../../protos
go build -o client .
