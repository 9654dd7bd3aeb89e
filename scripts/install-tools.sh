#!/usr/bin/env bash
# Makes sure that the tools are there that tests, demo or bench compare Drivebay with: installs missing Debian packages
# when it may, and otherwise prints the command that does.
#
# usage: install-tools.sh test|guest|demo|bench|cluster
set -euo pipefail

# A command, or a file, and the Debian package that brings it.
demo_tools='qemu-img:qemu-utils mkfs.ext4:e2fsprogs e2fsck:e2fsprogs'
test_tools="$demo_tools cryptsetup:cryptsetup-bin mkfs.xfs:xfsprogs curl:curl gzip:gzip zstd:zstd pigz:pigz openssl:openssl losetup:mount nbdinfo:libnbd-bin fio:fio initdb:postgresql"
# A Ceph cluster, and what opens its images.
ceph_tools='ceph-mon:ceph-mon ceph-mgr:ceph-mgr ceph-osd:ceph-osd rbd:ceph-common setpriv:util-linux /usr/lib/*/qemu/block-rbd.so:qemu-block-extra'
test_tools="$test_tools $ceph_tools nginx:nginx-light"
# What boots a guest from a drive; its kernel is taken out of Debian's package by the test, and not installed.
guest_tools='qemu-system-x86_64:qemu-system-x86 cpio:cpio'
bench_tools="$test_tools nbdkit:nbdkit"
cluster_tools="$ceph_tools initdb:postgresql nginx:nginx-light"

case "${1:-}" in
  demo) tools=$demo_tools ;;
  test) tools=$test_tools ;;
  guest) tools=$guest_tools ;;
  bench) tools=$bench_tools ;;
  cluster) tools=$cluster_tools ;;
  *)
    echo "usage: $0 test|guest|demo|bench|cluster" >&2
    exit 2
    ;;
esac

export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
# Debian keeps PostgreSQL's programs off the PATH, because several versions of it can be installed.
for directory in /usr/lib/postgresql/*/bin; do PATH="$PATH:$directory"; done
is_there() { command -v "$1" >/dev/null || compgen -G "$1" >/dev/null; }
packages=()
for tool in $tools; do
  is_there "${tool%%:*}" || packages+=("${tool##*:}")
done
[ ${#packages[@]} -eq 0 ] && exit 0
mapfile -t packages < <(printf '%s\n' "${packages[@]}" | sort -u)

root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! sudo -n true 2>/dev/null; then
    echo "Missing Debian packages: sudo apt-get install ${packages[*]}" >&2
    exit 1
  fi
  root=(sudo -n)
fi
if ! command -v apt-get >/dev/null; then
  echo "Missing tools, in Debian's packages ${packages[*]}: install what your system calls them." >&2
  exit 1
fi

echo "Installing Debian packages: ${packages[*]}"
log=$(mktemp)
install() {
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "${packages[@]}"
}
# Package lists may be absent or out of date, as they are in a fresh container.
if ! { install || { "${root[@]}" apt-get update && install; }; } >"$log" 2>&1; then
  cat "$log" >&2
  echo "apt-get could not install ${packages[*]}." >&2
  exit 1
fi
rm -f "$log"
