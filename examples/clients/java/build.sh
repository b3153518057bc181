#!/bin/sh
# Builds the client. Needs a JDK of 17 or later, and Maven.
set -eu
cd "$(dirname "$0")"
mvn --quiet --batch-mode package
