#!/bin/sh
# Builds the samples in Go: ./build.sh <where the program is to be>. Needs Go, and Node for buf.
set -eu
case ${1:?where is the program to be?} in /*) program=$1 ;; *) program=$PWD/$1 ;; esac
cd "$(dirname "$0")"
cp ../python/example_extensions/runner.py runner.py
GOBIN="$PWD/bin" go install tool
PATH="$PWD/bin:$PATH" npx --yes @bufbuild/buf@1.75.0 generate ../../../protos
go build -o "$program" .
