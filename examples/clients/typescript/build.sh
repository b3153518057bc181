#!/bin/sh
# Builds the client. Needs Node.
set -eu
cd "$(dirname "$0")"
npm ci --silent
npm run --silent build
