#!/bin/busybox sh
# The guest itself, on its root file system: writes one file after the other, and announces each when it is safe.
busybox() { /bin/busybox "$@"; }
number=0
while :; do
  number=$((number + 1))
  file=/data/$number
  busybox dd if=/dev/urandom of="$file" bs=4k count=$((1 + number % 24)) 2>/dev/null || echo "GUEST FAILED: write $number"
  sum=$(busybox sha256sum <"$file") || echo "GUEST FAILED: read $number"
  busybox sync || echo "GUEST FAILED: sync $number"
  echo "SYNCED $number ${sum%% *}"
  busybox sleep 0.05
done
