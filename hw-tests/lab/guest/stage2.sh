# In the guest, from /lab/job, which says: LAB_SOURCE (this folder's parent), LAB_IMAGE, LAB_KERNEL, LAB_BIN (our
# binaries), LAB_SCENARIO (a script; none: a shell). /lab is the folder of this run on the host.
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
cut -d' ' -f1 /proc/uptime >/lab/booted

if [ -n "$LAB_SCENARIO" ]; then
    cd /tmp || exit
    /usr/bin/python3 -u "$LAB_SCENARIO" </dev/null >/lab/log 2>&1
    echo $? >/lab/result
    dmesg >/lab/dmesg
else
    cd /root || exit
    echo "A shell in the lab: scenarios in $LAB_SOURCE/scenarios, files for the host in /lab. 'exit' ends it."
    # shellcheck disable=SC2086
    stty $LAB_SIZE </dev/ttyS0
    TERM=${LAB_TERM:-dumb} setsid -c bash -i </dev/ttyS0 >/dev/ttyS0 2>&1
fi
sync
exec "$LAB_IMAGE/packages/tools/bin/busybox" poweroff -f
