#!/usr/bin/env bash
# install_test.sh ROOT PACKAGE NEXT JSON: what the package promises, in a fresh Debian 12 tree at ROOT, which is made
# and removed here: it installs with apt, the daemon runs as its own user and answers, an upgrade keeps data and
# configuration, a removal keeps both, a purge leaves nothing. No systemd runs in there, so the daemon is started by
# hand as the unit would. Figures go to JSON. Run by scripts/package --test, as root.
set -euo pipefail
export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive

# In namespaces of its own: whatever happens, no mount and no process is left behind.
if [[ -z ${SLUICE_PACKAGE_TEST:-} ]]; then
  SLUICE_PACKAGE_TEST=inside exec unshare --mount --pid --fork --kill-child --mount-proc bash "$0" "$@"
fi

root=$(realpath -m "$1") package=$2 next=$3 figures=$4
[[ $root == */build/package/root ]] || { echo "refusing to make a root tree at $root"; exit 2; }
daemon='' log=$root.log

fail() {
  echo "FAILED: $*"
  [[ ! -s $log ]] || tail -n 30 "$log"
  exit 1
}
ok() { echo "ok: $*"; }
clean_up() {
  [[ -z $daemon ]] || kill -KILL "$daemon" 2>/dev/null || true
  grep -q " $root" /proc/self/mounts && { umount -R "$root/proc" || true; }
  rm -rf --one-file-system "$root" "$log"
}
trap clean_up EXIT
trap 'exit 1' INT TERM HUP

inside() { chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
  DEBIAN_FRONTEND=noninteractive ${http_proxy:+http_proxy="$http_proxy"} "$@" </dev/null; }
milliseconds() { echo $(($(date +%s%N) / 1000000)); }
# Owners are names of the tree, not of this machine.
inside_state_of() { inside stat -c '%U:%G %a' "$1"; }
expect() { [[ $1 == "$2" ]] || fail "$3: $1 instead of $2"; }

start_daemon() {
  local began line
  began=$(milliseconds)
  exec {output}< <(exec chroot "$root" setpriv --reuid=sluice --regid=sluice --init-groups --no-new-privs \
    --bounding-set=-all --inh-caps=-all env -i PATH=/usr/bin:/bin STATE_DIRECTORY=/var/lib/sluice \
    CONFIGURATION_DIRECTORY=/etc/sluice /usr/bin/sluice run 2>&1)
  daemon=$!
  while read -rt 30 -u "$output" line; do
    printf '%s\n' "$line" >>"$log"
    [[ $line != *" is ready after "* ]] || break
  done
  [[ ${line:-} == *" is ready after "* ]] || fail "the daemon did not become ready"
  ready_ms=$(($(milliseconds) - began))
  cat <&"$output" >>"$log" &
}
stop_daemon() {
  kill -TERM "$daemon"
  tail --pid="$daemon" -f /dev/null
  daemon=
}
chat() {
  local said
  said=$(chroot "$root" env -i PATH=/usr/bin HOME=/root timeout 60 sluice chat <<<"$1") || fail "chat ended with $?"
  expect "$said" "$1" "the answer of echo"
}
apt() { inside apt-get -q -y -o Dpkg::Use-Pty=0 "$@"; }

# ---- a bare Debian

mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Codename: bookworm' \
  'Component: main' 'Origin: Debian' | sort -u | head -n 1)
[[ -n $mirror ]] || fail "apt of this machine knows no Debian 12: run apt-get update"
rm -rf --one-file-system "$root"
mkdir -p "$root" "$root.cache"
: >"$log"
began=$(milliseconds)
debootstrap --variant=minbase --cache-dir="$root.cache" bookworm "$root" "$mirror" || fail "debootstrap failed"
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"
cp /etc/resolv.conf /etc/hosts "$root/etc/"
mount -t proc proc "$root/proc"
mkdir "$root/packages"
cp "$package" "$root/packages/sluice.deb"
cp "$next" "$root/packages/next.deb"
ok "a bare root tree after $((($(milliseconds) - began) / 1000)) s"

# ---- install

apt update || fail "apt-get update failed"
apt install --download-only /packages/sluice.deb || fail "the download failed"
sync # the tree itself is not what is measured
began=$(milliseconds)
apt install /packages/sluice.deb || fail "the installation failed"
install_ms=$(($(milliseconds) - began))

expect "$(inside_state_of /var/lib/sluice)" "sluice:sluice 700" "the data directory"
expect "$(inside_state_of /etc/sluice)" "root:sluice 750" "the configuration's directory"
expect "$(inside_state_of /etc/sluice/sluice.toml)" "root:sluice 640" "the configuration"
expect "$(inside_state_of /usr/bin/sluice)" "root:root 755" "the program"
[[ -L $root/etc/systemd/system/multi-user.target.wants/sluice.service ]] || fail "the service is not enabled"
inside sluice check-config /etc/sluice/sluice.toml || fail "the shipped configuration is not valid"
inside sluice check-config /usr/share/doc/sluice/examples/sluice.toml || fail "the example is not valid"
inside dpkg --verify sluice || fail "files differ from the package"
ok "installed in $install_ms ms: user, directories, service, configuration"

page=$(zcat "$root/usr/share/man/man1/sluice.1.gz" | sed 's/\\-/-/g')
for command in $(inside sluice --help | sed -n '/^Subcommands:/,$s/^  \([a-z-]*\) .*/\1/p'); do
  grep -q "^\.SS sluice $command" <<<"$page" ||
    fail "the manual page lacks $command"
  grep -q "\" $command\") path=" "$root/usr/share/bash-completion/completions/sluice" ||
    fail "the completion lacks $command"
done
completed=$(bash -c '. "$1"; COMP_WORDS=(sluice dead re); COMP_CWORD=2; _sluice; echo "${COMPREPLY[@]}"' - \
  "$root/usr/share/bash-completion/completions/sluice")
expect "$completed" "redrive" "the completion of \"sluice dead re\""
ok "manual page and completions name every command"

if command -v systemd-analyze >/dev/null; then
  # By the systemd of this machine, as the tree has none: only the program's path is not the same there.
  mkdir -p "$root/unit"
  unit=$root/unit/sluice.service
  sed "s#/usr/bin/sluice#$root&#" "$root/lib/systemd/system/sluice.service" >"$unit"
  said=$(systemd-analyze verify --man=no "$unit" 2>&1) || fail "the unit is wrong: $said"
  expect "$said" "" "what systemd says of the unit"
  security=$(systemd-analyze security --offline=true --threshold=25 --no-pager "$unit") ||
    fail "the unit is more open than it has to be: $security"
  rm -r "$root/unit"
  ok "the unit verifies; exposure $(sed -n 's/.*sluice.service: \([0-9.]*\).*/\1/p' <<<"$security") of 10"
fi

# ---- use

# An administrator's own change; also, 8484 may be in use on this machine.
printf '\n[server]\nlisten = ["127.0.0.1:0"]  # mine\n' >>"$root/etc/sluice/sluice.toml"
start_daemon
first_ready_ms=$ready_ms
chat hello
ok "ready $first_ready_ms ms after its start as its own user; echo answers root's \"sluice chat\""
expect "$(stat -c %u "/proc/$daemon")" "$(inside id -u sluice)" "the daemon's user"
for file in "$root"/var/lib/sluice/*; do
  mode=600
  [[ -d $file ]] && mode=700
  expect "$(stat -c %a "$file")" "$mode" "the mode of $file"
done

inside sluice init --base-url http://127.0.0.1:9/v1 --model m --no-check || fail "init failed"
expect "$(inside_state_of /etc/sluice/sluice.toml)" "root:sluice 640" "the configuration after init"
inside setpriv --reuid=sluice --regid=sluice --init-groups sluice check-config /etc/sluice/sluice.toml ||
  fail "the daemon's user can't read what init wrote"
inside sluice init --agent echo || fail "init could not go back to echo"
grep -q '# mine' "$root/etc/sluice/sluice.toml" || fail "init lost the administrator's line"
ok "init as root writes what the service can read"

# ---- upgrade, remove, install again

before=$(inside sluice messages --json)
apt install /packages/next.deb || fail "the upgrade failed"
expect "$(inside dpkg-query -W -f '${Version}' sluice)" "$(dpkg-deb -f "$next" Version)" "the version"
expect "$(inside sluice version)" "sluice $(dpkg-deb -f "$next" Version)" "what the program calls itself"
grep -q '# mine' "$root/etc/sluice/sluice.toml" || fail "the upgrade lost the administrator's line"
stop_daemon
start_daemon
expect "$(inside sluice messages --json)" "$before" "what was stored before the upgrade"
chat "hello again"
ok "upgraded in place: configuration and messages kept"

stop_daemon
before=$(cd "$root/var/lib/sluice" && ls)
apt remove sluice || fail "the removal failed"
[[ ! -e $root/usr/bin/sluice ]] || fail "the program is still there"
[[ -e $root/etc/sluice/sluice.toml ]] || fail "a removal took the configuration"
expect "$(cd "$root/var/lib/sluice" && ls)" "$before" "the data after a removal"
began=$(milliseconds)
apt install /packages/sluice.deb || fail "it does not install again"
alone_ms=$(($(milliseconds) - began))
start_daemon
chat "and again"
stop_daemon
ok "removed and installed again: configuration and messages kept"

# ---- purge

apt purge sluice || fail "the purge failed"
left=$(find "$root" -xdev \( -path "$root/packages" -o -path "$root/proc" -o -path "$root/var/log" \
  -o -path "$root/var/cache" \) -prune -o -iname '*sluice*' -print)
[[ -z $left ]] || fail "the purge left: $left"
! grep -q '^sluice:' "$root/etc/passwd" "$root/etc/group" || fail "the purge left the user"
ok "purged: nothing is left"

# ---- figures

size=$(stat -c %s "$package")
total_ms=$((install_ms + first_ready_ms))
mkdir -p "$(dirname "$figures")"
python3 - "$figures" "$size" "$install_ms" "$alone_ms" "$first_ready_ms" "$total_ms" <<'END'
import json
import sys

path, size, install, alone, ready, total = sys.argv[1], *map(int, sys.argv[2:])


def row(name, value, unit, goal=None, reached=True):
    return {"name": name, "value": value, "unit": unit, "reference": None, "goal": goal, "reached": reached}


rows = [row("size of the package", round(size / 1e6, 2), "MB", "<= 10", size <= 10e6),
        row("apt install, downloaded, with its libraries", install / 1000, "s"),
        row("the same, its libraries there already", alone / 1000, "s"),
        row("start until ready", ready, "ms"),
        row("install to ready, downloaded", total / 1000, "s", "<= 5", total <= 5000)]
with open(path, "w") as file:
    json.dump({"suite": "package", "rows": rows}, file, indent=2)
    file.write("\n")
END
ok "$((size / 1024)) KiB; install to ready $total_ms ms"
