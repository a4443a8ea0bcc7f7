# In the guest, from /lab/job, which says: LAB_SOURCE (this folder's parent), LAB_IMAGE, LAB_KERNEL, LAB_BIN (our
# binaries), LAB_BOOT (a folder below /lab for this boot), LAB_SCENARIOS (names; none: a shell). /lab is a folder of the host.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t debugfs debugfs /sys/kernel/debug
mount -t tmpfs run /run
mount -t tmpfs tmp /tmp
mkdir -p /dev/pts /dev/shm /lib/modules
mount -t devpts devpts /dev/pts
mount -t tmpfs shm /dev/shm
hostname lab
ip link set lo up
ln -sfn "$LAB_IMAGE/packages/kernel/lib/modules/$LAB_KERNEL" "/lib/modules/$LAB_KERNEL"
modprobe -a psample macsec 2>/dev/null
insmod "$LAB_IMAGE/netdevsim.ko" || echo "lab: netdevsim did not load"
[ -d "$LAB_BIN" ] && PATH=$LAB_BIN:$PATH
export PYTHONPATH=$LAB_SOURCE/guest PYTHONDONTWRITEBYTECODE=1
cut -d' ' -f1 /proc/uptime >"/lab/$LAB_BOOT/booted"
dmesg >"/lab/$LAB_BOOT/dmesg"

if [ -n "$LAB_SCENARIOS" ]; then
    # shellcheck disable=SC2086
    /usr/bin/python3 -u "$LAB_SOURCE/guest/runner.py" $LAB_SCENARIOS </dev/null
else
    cd /root || exit
    echo "A shell in the lab: scenarios in $LAB_SOURCE/scenarios, files for the host in /lab. 'exit' ends it."
    # shellcheck disable=SC2086
    stty $LAB_SIZE </dev/ttyS0
    TERM=${LAB_TERM:-dumb} setsid -c bash -i </dev/ttyS0 >/dev/ttyS0 2>&1
fi
sync
exec "$LAB_IMAGE/packages/tools/bin/busybox" poweroff -f
