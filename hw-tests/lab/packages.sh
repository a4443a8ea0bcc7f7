#!/usr/bin/env bash
# Fetch what the lab is made of from the Debian mirror that this machine already uses, and unpack it below a folder.
# Nothing is installed and nothing outside of that folder is written: apt works on state of its own.
#
#   packages.sh FOLDER    fills FOLDER with: qemu/ (an emulator and the libraries this machine lacks), kernel/ (image,
#                         modules, headers), netdevsim/ (the driver's source as Debian ships it), tools/ (busybox),
#                         versions
#
# Exit code 75 with one line on stdout: the packages cannot be had here, and why. Any other failure is a defect.
set -euo pipefail

# The patch in netdevsim/ is written against this line of the kernel; its internal interfaces change between lines.
kernel_line=6.12
# QEMU's igb came with 8.0: with an older one, scenarios that need it are skipped.
packages="qemu-system-x86 busybox-static"

out=$1
log=$out.log
skip() { echo "$*"; exit 75; }

command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || skip "no apt: the lab is made of Debian packages"
[ "$(dpkg --print-architecture)" = amd64 ] || skip "the guest is built on amd64, this machine is $(dpkg --print-architecture)"
# shellcheck disable=SC1091
codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-unknown}")

rm -rf "$out"
mkdir -p "$out"/{apt/lists/partial,debs/partial,qemu,kernel,tools}
: >"$log"

# Sources: Debian's suites as this machine names them, and backports from the same mirror.
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
trust=""
if [ -e $keyring ]; then trust="[signed-by=$keyring] "; fi
# shellcheck disable=SC2016
apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' 2>>"$log" | sort -u |
    while read -r uri suite; do
        case $suite in
            "$codename") echo "deb $trust$uri $suite main"; echo "deb $trust$uri $codename-backports main" ;;
            "$codename"-updates | "$codename"-security) echo "deb $trust$uri $suite main" ;;
        esac
    done | sort -u >"$out/apt/sources.list"
[ -s "$out/apt/sources.list" ] || skip "no Debian mirror for '$codename' in this machine's apt sources"

own=(-o Dir::Etc::sourcelist="$out/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null
    -o Dir::State::lists="$out/apt/lists" -o Dir::Cache::archives="$out/debs"
    -o Dir::Cache::pkgcache="$out/apt/packages.bin" -o Dir::Cache::srcpkgcache="$out/apt/sources.bin"
    -o Debug::NoLocking=1 -o APT::Sandbox::User=root
    -o Acquire::Retries=2 -o Acquire::http::Timeout=20 -o Acquire::Languages=none)
apt() {
    DEBIAN_FRONTEND=noninteractive apt-get -q -y "${own[@]}" "$@" >>"$log" 2>&1
}
apt update || skip "the Debian mirror does not answer: see $log"
ls "$out"/apt/lists/*_Packages* >/dev/null 2>&1 || skip "the Debian mirror gave no package lists: see $log"

# The newest version of the kernel line of which the image, the headers and the source are all there.
names() {
    apt-cache "${own[@]}" "$@" 2>>"$log"
}
known() {
    [ -n "$(names show --no-all-versions "$1")" ]
}
# An image and its source are one version of one source package; the image's name carries a shorter form of it.
version=""
for image in $(names search --names-only "^linux-image-$kernel_line\\.[0-9.+~a-z]+-amd64\$" | cut -d' ' -f1 |
    grep -v -e -cloud- -e -rt- -e -dbg | sort -rV); do
    v=${image#linux-image-}
    v=${v%-amd64}
    full=$(names show --no-all-versions "linux-headers-$v-amd64" | sed -n 's/^Version: //p')
    if [ -n "$full" ] && known "linux-kbuild-$v" && known "linux-headers-$v-common" &&
        [[ " $(names madison "linux-source-$kernel_line" | cut -d'|' -f2 | tr '\n' ' ') " == *" $full "* ]]; then
        version=$v
        break
    fi
done
[ -n "$version" ] || skip "the mirror has no complete set of kernel packages of line $kernel_line for $codename"

# Of the kernel only the packages themselves; of QEMU also the libraries that are not installed here.
(cd "$out/debs" && apt download "linux-image-$version-amd64" "linux-headers-$version-amd64" \
    "linux-headers-$version-common" "linux-kbuild-$version" "linux-source-$kernel_line=$full") ||
    skip "the kernel packages of version $version cannot be downloaded: see $log"
mkdir -p "$out/kernel-debs"
mv "$out"/debs/*.deb "$out/kernel-debs"
# shellcheck disable=SC2086
apt install --download-only --no-install-recommends -t "$codename-backports" $packages ||
    apt install --download-only --no-install-recommends $packages ||
    skip "QEMU cannot be downloaded: see $log"

shopt -s nullglob
for deb in "$out"/debs/*.deb; do
    case $deb in
        */busybox*) dpkg-deb -x "$deb" "$out/tools" ;;
        *) dpkg-deb -x "$deb" "$out/qemu" ;;
    esac
done
if ! [ -x "$out/tools/bin/busybox" ]; then      # already installed on this machine
    mkdir -p "$out/tools/bin"
    cp "$(command -v busybox)" "$out/tools/bin/busybox"
fi
[ -x "$out/qemu/usr/bin/qemu-system-x86_64" ] || ln -s "$(command -v qemu-system-x86_64)" "$out/qemu/qemu-system-x86_64"

# Of the image only what a network lab can use: some 60 MB of 500.
image=$(ls "$out"/kernel-debs/linux-image-*.deb)
modules=./lib/modules/$version-amd64
dpkg-deb --fsys-tarfile "$image" | tar -x -C "$out/kernel" --wildcards "./boot/*" "$modules/modules.*" \
    "$modules/kernel/net/*" "$modules/kernel/lib/*" "$modules/kernel/crypto/*" "$modules/kernel/arch/*" \
    "$modules/kernel/fs/9p/*" "$modules/kernel/fs/netfs/*" "$modules/kernel/fs/overlayfs/*" \
    "$modules/kernel/drivers/net/*" "$modules/kernel/drivers/vfio/*" "$modules/kernel/drivers/uio/*" \
    "$modules/kernel/drivers/dca/*" "$modules/kernel/drivers/i2c/*" "$modules/kernel/drivers/ptp/*" \
    "$modules/kernel/drivers/iommu/*" "$modules/kernel/drivers/virtio/*" "$modules/kernel/virt/*"
rm -rf "$out/kernel/${modules#./}"/kernel/drivers/net/{wireless,can,usb,netdevsim}
for deb in "$out"/kernel-debs/linux-{headers,kbuild}-*.deb; do dpkg-deb -x "$deb" "$out/kernel"; done
PATH=$PATH:/usr/sbin:/sbin depmod -b "$out/kernel" "$version-amd64"

# Without this, a module of our own would need pahole, for BTF that nobody reads.
rm -f "$out/kernel/usr/src/linux-headers-$version-amd64/vmlinux"
# The headers' Makefile names the common part by its installed path.
headers=$out/kernel/usr/src/linux-headers-$version
sed -i "s|/usr/src/linux-headers-$version-common|$headers-common|g" "$headers-amd64/Makefile"

dpkg-deb --fsys-tarfile "$out"/kernel-debs/linux-source-*.deb |
    tar -xO --wildcards "./usr/src/linux-source-$kernel_line.tar.xz" |
    tar -xJ -C "$out" --strip-components=3 "linux-source-$kernel_line/drivers/net/netdevsim"

{
    echo "kernel=$version-amd64"
    echo "kernel_package=$full"
} >"$out/versions"
rm -rf "$out/debs" "$out/kernel-debs" "$out/apt"
