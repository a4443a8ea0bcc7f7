#!/usr/bin/env bash
# Make the lab's guest: a kernel, an initramfs that finds the host's root over 9p, and our netdevsim.
#
#   image.sh CACHE    prints the folder of the finished guest. What is there already, by the hash of everything it is
#                     made from, is not made again.
#
# Exit code 75 with one line on stdout: the lab cannot be set up here, and why.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
mkdir -p "$1"
cache=$(cd "$1" && pwd)
export PATH=$PATH:/usr/sbin:/sbin

# What builds the module, and what the guest uses of this machine.
missing=""
for tool in gcc make patch xz depmod modprobe python3 ip devlink tc ethtool sysctl; do
    command -v $tool >/dev/null || missing="$missing $tool"
done
if [ -n "$missing" ]; then
    echo "missing:$missing; apt-get install -y --no-install-recommends build-essential patch xz-utils kmod python3" \
        "iproute2 ethtool procps"
    exit 75
fi

hash_of() { cat "$@" | sha256sum | cut -c1-16; }

exec 9>"$cache/lock"
flock 9

packages=$cache/packages-$(hash_of "$here/packages.sh")
if ! [ -e "$packages/versions" ]; then
    echo "lab: fetching the kernel, its source and QEMU (once)" >&2
    rm -rf "$packages" "$packages".new
    "$here/packages.sh" "$packages".new || exit $?
    # The headers know their own place.
    sed -i "s|$packages.new|$packages|" "$packages".new/kernel/usr/src/linux-headers-*/Makefile
    mv "$packages".new "$packages"
fi
# shellcheck disable=SC1091
kernel=$(. "$packages/versions" && echo "$kernel")

image=$cache/image-$(hash_of "$packages/versions" "$here/packages.sh" "$here/image.sh" "$here/guest/init" \
    "$here"/netdevsim/*)
if [ -e "$image/ready" ]; then
    echo "$image"
    exit
fi
echo "lab: building netdevsim and the initramfs for $kernel (once)" >&2
rm -rf "$image"
mkdir -p "$image"/initramfs/{bin,m,proc,sys,dev,ro,rw,new}
log=$image/build.log
failed() { echo "lab: $1; the end of $log:" >&2; tail -n 20 "$log" >&2; exit 1; }

# netdevsim: Debian's source, our patch over it, our files beside it.
cp -r "$packages/netdevsim" "$image/netdevsim"
find "$here/netdevsim" -name '*.[ch]' -exec cp {} "$image/netdevsim" \;
patch -p1 -d "$image/netdevsim" <"$here/netdevsim/netdevsim.patch" >"$log" 2>&1 ||
    failed "netdevsim.patch does not fit the source of $kernel"
make -C "$packages/kernel/usr/src/linux-headers-$kernel" M="$image/netdevsim" KCFLAGS=-Werror -j2 modules \
    >>"$log" 2>&1 || failed "netdevsim does not build"

ln -s "$packages" "$image/packages"
cp "$packages/kernel/boot/vmlinuz-$kernel" "$image/vmlinuz"
cp "$packages/tools/bin/busybox" "$image/initramfs/bin/busybox"
cp "$here/guest/init" "$image/initramfs/init"
number=10
for module in fs/netfs/netfs net/9p/9pnet net/9p/9pnet_virtio fs/9p/9p fs/overlayfs/overlay; do
    file=$packages/kernel/lib/modules/$kernel/kernel/$module.ko
    to=$image/initramfs/m/$number-$(basename "$module").ko
    if [ -e "$file.xz" ]; then xz -dc "$file.xz" >"$to"; else cp "$file" "$to"; fi
    number=$((number + 1))
done
(cd "$image/initramfs" && find . | ./bin/busybox cpio -o -H newc 2>>"$log" | gzip -1) >"$image/initrd"
strip --strip-debug -o "$image/netdevsim.ko" "$image/netdevsim/netdevsim.ko"
rm -rf "$image/initramfs" "$image/netdevsim"
echo "$kernel" >"$image/ready"
for old in "$cache"/image-* "$cache"/packages-*; do
    case $old in "$image" | "$packages") ;; *) rm -rf "$old" ;; esac
done
echo "$image"
