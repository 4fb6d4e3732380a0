#!/bin/sh
# Makes the secrets of docker-compose.yml in the volume /secrets, once: each of its own,
# each readable by the one user who needs it. `docker compose down --volumes` forgets them.
set -eu
umask 077
if [ $# -gt 0 ]; then exec "$@"; fi
if [ -e /secrets/complete ]; then exit 0; fi

random() { od -An -N32 -tx1 /dev/urandom | tr -d ' \n'; }
hash() { printf %s "$1" | sha256sum | cut -d' ' -f1; }

# put OWNER FILE: standard input becomes a file that OWNER alone can read.
put() {
  dir=/secrets/$(dirname "$2")
  mkdir -p "$dir"
  cat >"/secrets/$2"
  chown -R "$1" "$dir"
}

director=65532 redis=999 prometheus=65534 grafana=472 radio=901
operator=$(random) scrape=$(random) redis_password=$(random) source=$(random) admin=$(random)

printf '%s\n' "$operator" | put 0 operator/token
printf '%s\n' "$scrape" | put $prometheus prometheus/token
printf 'operator operate %s\nprometheus view %s\n' "$(hash "$operator")" "$(hash "$scrape")" | put $director director/tokens
random | put $director director/placement
printf '%s\n' "$redis_password" | put $director director/redis
printf 'admin:%s\n' "$admin" | put $director director/icecast
printf 'requirepass %s\nsave ""\nappendonly no\nmaxmemory 64mb\nmaxmemory-policy noeviction\n' "$redis_password" | put $redis redis/redis.conf
random | put $grafana grafana/password
printf '%s\n' "$source" | put $radio radio/source
printf '%s\n' "$admin" | put $radio radio/admin
chmod 755 /secrets
: >/secrets/complete
