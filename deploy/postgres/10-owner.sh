#!/bin/sh
# Run once by the PostgreSQL image, when its data directory is made: the role that `autodev migrate` works as, and its
# database. The services' own roles are made by `autodev migrate`.
set -eu
psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 --set password="$(cat /run/secrets/database_owner_password)" \
  --username "$POSTGRES_USER" --dbname postgres <<'SQL'
CREATE ROLE autodev_owner LOGIN CREATEROLE PASSWORD :'password';
CREATE DATABASE autodev OWNER autodev_owner;
SQL
