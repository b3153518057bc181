#!/bin/sh
# Makes what docker-compose.yml needs to be secret, once: ./secrets (or the folder named), which only you can enter.
# Needs openssl. Files that are there stay as they are.
set -eu
folder=${1:-secrets}
host=${2:-postgres}
umask 077
mkdir -p "$folder"
cd "$folder"

# The folder is yours alone. Its files can be read by all, since in a container the reader is another user.
secret() { # NAME CONTENT
  [ -e "$1" ] || { printf '%s' "$2" > "$1.new" && chmod 444 "$1.new" && mv "$1.new" "$1"; }
}
random() { openssl rand -hex 32; }

secret postgres_password "$(random)"
secret database_owner_password "$(random)"
secret database_owner_url "postgresql+asyncpg://autodev_owner:$(cat database_owner_password)@$host/autodev"
for service in gateway capability learning fitness; do
  secret "${service}_database_url" "postgresql+asyncpg://autodev_$service:$(random)@$host/autodev"
done
secret nats_credentials "gateway:$(random)"
secret nats-auth.conf "user: gateway, password: \"$(cut -d: -f2 nats_credentials)\""
secret developer.key "ad_$(random)"
sha256=$(openssl dgst -sha256 -r < developer.key | cut -d' ' -f1)
secret keys.json "[{\"tenant\":\"default\",\"subject\":\"developer\",\"roles\":[\"runtime\",\"reviewer\",\"operator\"],\"sha256\":\"$sha256\"}]"
secret webhooks.json "{\"crm\": {\"tenant\": \"default\", \"secrets\": [\"whsec_$(openssl rand -base64 24)\"]}}"
