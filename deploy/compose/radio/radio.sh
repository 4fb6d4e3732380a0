#!/bin/sh
# A small radio, one part of it by its name:
#
#   radio studio        the Icecast that the programme comes in at
#   radio source        the programme: a tune without end, and a title every 20 s
#   radio node          an Icecast that relays the studio's programme to listeners
#   radio serves        health: the server answers
#   radio plays [URL]   health: the mount is there
set -eu
mount=/live.mp3
status() { curl -fsS -m 2 "${1:-http://127.0.0.1:8000}/status-json.xsl?mount=$mount"; }

icecast() {
  cat >/tmp/icecast.xml <<XML
<icecast>
  <location>docker compose</location>
  <admin>nobody@localhost</admin>
  <hostname>localhost</hostname>
  <limits><clients>300</clients><sources>4</sources><burst-size>65535</burst-size><source-timeout>10</source-timeout></limits>
  <authentication>
    <source-password>$(cat /secrets/radio/source)</source-password>
    <admin-user>admin</admin-user>
    <admin-password>$(cat /secrets/radio/admin)</admin-password>
  </authentication>
  <listen-socket><port>8000</port></listen-socket>
  <http-headers><header name="Access-Control-Allow-Origin" value="*"/></http-headers>
  $1
  <fileserve>1</fileserve>
  <paths>
    <basedir>/usr/share/icecast2</basedir>
    <webroot>/usr/share/icecast2/web</webroot>
    <adminroot>/usr/share/icecast2/admin</adminroot>
    <logdir>/tmp</logdir>
    <alias source="/" destination="/status.xsl"/>
  </paths>
  <logging><errorlog>-</errorlog><accesslog>-</accesslog><loglevel>2</loglevel></logging>
</icecast>
XML
  exec icecast2 -c /tmp/icecast.xml
}

# titles tells the studio what plays, as a playout system does.
titles() {
  n=0
  while sleep 20; do
    n=$((n + 1))
    printf 'user = "source:%s"\n' "$(cat /secrets/radio/source)" |
      curl -fsS -o /dev/null -m 5 -K - "http://studio:8000/admin/metadata?mount=$mount&mode=updinfo&song=Signpost+-+Tune+no.+$n" || true
  done
}

case ${1:-} in
studio) icecast "" ;;
node) icecast "<relay><server>studio</server><port>8000</port><mount>$mount</mount><local-mount>$mount</local-mount><on-demand>0</on-demand><relay-shoutcast-metadata>1</relay-shoutcast-metadata></relay>" ;;
source)
  titles &
  # Four notes of a chord, three a second, each dying away.
  tune='st(0, mod(floor(t*3), 4)); st(1, 220*pow(2, (eq(ld(0),1)*3 + eq(ld(0),2)*7 + eq(ld(0),3)*12)/12)); 0.3*exp(-2.5*mod(t*3,1))*(sin(2*PI*ld(1)*t) + 0.3*sin(4*PI*ld(1)*t))'
  exec ffmpeg -nostdin -hide_banner -loglevel warning -re -f lavfi -i "aevalsrc=exprs='$tune':s=44100:c=mono" \
    -ac 2 -c:a libmp3lame -b:a 128k -content_type audio/mpeg -ice_name "Signpost demo" -f mp3 \
    "icecast://source:$(cat /secrets/radio/source)@studio:8000$mount" ;;
serves) status >/dev/null ;;
plays) status "${2:-}" | grep -q '"listenurl"' ;;
*) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
