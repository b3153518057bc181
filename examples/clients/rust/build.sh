#!/bin/sh
# Builds the client. Needs Rust.
set -eu
cd "$(dirname "$0")"
cargo build --quiet
