#!/bin/busybox sh
# The first program of a test's guest: loads what the kernel needs to see the drive, and goes on from there.
/bin/busybox mount -t devtmpfs devtmpfs /dev
for module in /modules/*.ko; do
  /bin/busybox insmod "$module" || echo "GUEST FAILED: insmod $module"
done
until [ -b /dev/vda ]; do /bin/busybox sleep 0.1; done
/bin/busybox mount -t ext4 /dev/vda /disk || echo "GUEST FAILED: mount"
/bin/busybox mount -o move /dev /disk/dev
exec /bin/busybox switch_root /disk /init
