/* What the kernel alone wants for one container: the calls that a start and an end cannot do
 * without, made straight away by one process that keeps no record, supervises nothing and answers
 * nobody. kernel_floor <scratch directory> <seccomp filter> <lower directory>... Reads "none" or
 * "bridge" from its input, a line per container, and answers with microseconds. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/macros.h"
#include "base/memory.h"
#include "linux/namespace.h"
#include "linux/netlink.h"
#include "linux/seccomp.h"

#include "base/banned.h"

enum { PATH_SIZE = 512, GROUP_LIMIT = 32, PREFIX_LENGTH = 24 };
#define BRIDGE_ADDRESS 0xc6124d01U /* 198.18.77.1: addresses for benchmarks */
#define READ_ONLY      (MS_RDONLY | MS_NOSUID | MS_NOEXEC | MS_NODEV)
#define PLAIN          (MS_NOSUID | MS_NOEXEC | MS_NODEV)

struct floor {
    const char *scratch_path;
    char **layers;
    int layer_count;
    struct str filter;
    char bridge_name[IFNAMSIZ], link_name[IFNAMSIZ];
    int bridge_index;
    char groups[GROUP_LIMIT][PATH_SIZE]; /* this container's control groups, one per hierarchy */
    int group_count;
    int unified; /* index of the version 2 one, -1: none */
};

/* Nothing here may fail: a floor with a hole is none. */
static void check(bool is_good, const char *what)
{
    if (is_good)
        return;
    fprintf(stderr, "kernel_floor: %s: %s\n", what, strerror(errno));
    _exit(1);
}

static void check_error(int result, const struct error *err)
{
    if (result >= 0)
        return;
    fprintf(stderr, "kernel_floor: %s\n", err->text);
    _exit(1);
}

/* ---- control groups: every hierarchy that is mounted, of version 1 and 2 ---- */

static void find_groups(struct floor *floor)
{
    FILE *mounts = fopen("/proc/self/mounts", "re");
    char path[256], type[32];

    check(mounts, "/proc/self/mounts");
    floor->unified = -1;
    while (fscanf(mounts, "%*s %255s %31s %*[^\n]", path, type) == 2) {
        if (strncmp(type, "cgroup", 6) != 0 || floor->group_count == GROUP_LIMIT)
            continue;
        if (strcmp(type, "cgroup2") == 0)
            floor->unified = floor->group_count;
        snprintf(floor->groups[floor->group_count++], PATH_SIZE, "%s/kernel-floor-%d", path,
                 (int)getpid());
    }
    fclose(mounts);
}

static void make_groups(struct floor *floor)
{
    for (int i = 0; i < floor->group_count; i++)
        check(mkdir(floor->groups[i], 0755) == 0, floor->groups[i]);
}

/* A version 1 group takes a single thread through "tasks", a version 2 group a child that is born
 * in it: "cgroup.procs" would wait for all processors. */
static void join_groups(struct floor *floor)
{
    for (int i = 0; i < floor->group_count; i++) {
        char path[PATH_SIZE + 16];
        if (i == floor->unified)
            continue;
        bool is_cpuset = strstr(floor->groups[i], "/cpuset/") != NULL;

        if (is_cpuset) /* inherits nothing by itself */
            for (int file = 0; file < 2; file++) {
                const char *name = file ? "cpuset.mems" : "cpuset.cpus";
                char value[256];

                snprintf(path, sizeof(path), "%s/../%s", floor->groups[i], name);
                int from_fd = open(path, O_RDONLY | O_CLOEXEC);
                ssize_t size = read(from_fd, value, sizeof(value));
                snprintf(path, sizeof(path), "%s/%s", floor->groups[i], name);
                int to_fd = open(path, O_WRONLY | O_CLOEXEC);
                check(size >= 0 && write(to_fd, value, (size_t)size) == size, path);
                close(from_fd);
                close(to_fd);
            }
        snprintf(path, sizeof(path), "%s/tasks", floor->groups[i]);
        int fd = open(path, O_WRONLY | O_CLOEXEC);
        check(fd >= 0 && write(fd, "0", 1) == 1, path);
        close(fd);
    }
}

static void remove_groups(struct floor *floor)
{
    for (int i = 0; i < floor->group_count; i++)
        while (rmdir(floor->groups[i]) < 0)
            check(errno == EBUSY, floor->groups[i]);
}

/* ---- network ---- */

static void put_address(struct nl_msg *msg, int index, uint32_t address)
{
    struct ifaddrmsg *header;

    nl_msg_next(msg, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE);
    header = nl_put_header(msg, sizeof(*header));
    header->ifa_family = AF_INET;
    header->ifa_prefixlen = PREFIX_LENGTH;
    header->ifa_index = (uint32_t)index;
    nl_put_be32(msg, IFA_LOCAL, address);
    nl_put_be32(msg, IFA_ADDRESS, address);
}

static void make_bridge(struct floor *floor)
{
    struct netlink *netlink;
    struct nl_msg msg = {};
    struct error err;

    snprintf(floor->bridge_name, IFNAMSIZ, "bfloor%d", (int)getpid());
    snprintf(floor->link_name, IFNAMSIZ, "vfloor%d", (int)getpid());
    check_error(netlink_open(NETLINK_ROUTE, &netlink, &err), &err);
    nl_msg_init(&msg, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
    nl_put_link_flags(&msg, 0, IFF_UP, IFF_UP);
    nl_put_string(&msg, IFLA_IFNAME, floor->bridge_name);
    nl_put(&msg, IFLA_ADDRESS, "\x02\x42\xc6\x12\x4d\x01", 6);
    NL_NEST (&msg, IFLA_LINKINFO)
        nl_put_string(&msg, IFLA_INFO_KIND, "bridge");
    check_error(netlink_call(netlink, &msg, &err), &err);
    nl_msg_done(&msg);
    netlink_close(netlink);
    floor->bridge_index = (int)if_nametoindex(floor->bridge_name);
    check(floor->bridge_index > 0, floor->bridge_name);
}

static void remove_bridge(struct floor *floor)
{
    CLEANUP(netlink_close) struct netlink *netlink = NULL;
    CLEANUP(nl_msg_done) struct nl_msg msg = {};

    check(netlink_open(NETLINK_ROUTE, &netlink, NULL) == 0, "netlink");
    nl_msg_init(&msg, RTM_DELLINK, 0);
    nl_put_link(&msg, floor->bridge_index);
    check(netlink_call(netlink, &msg, NULL) == 0, "remove bridge");
}

/* From the host: the pair, one end on the bridge, the other in the child's namespace. */
static void make_pair(struct floor *floor, pid_t pid)
{
    CLEANUP(netlink_close) struct netlink *netlink = NULL;
    CLEANUP(nl_msg_done) struct nl_msg msg = {};
    static unsigned number;
    struct error err;

    check_error(netlink_open(NETLINK_ROUTE, &netlink, &err), &err);
    snprintf(floor->link_name, IFNAMSIZ, "vf%d.%u", (int)getpid(), number++ % 10000);
    nl_msg_init(&msg, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
    nl_put_link_flags(&msg, 0, IFF_UP, IFF_UP);
    nl_put_string(&msg, IFLA_IFNAME, floor->link_name);
    nl_put_u32(&msg, IFLA_MASTER, (uint32_t)floor->bridge_index);
    NL_NEST (&msg, IFLA_LINKINFO) {
        nl_put_string(&msg, IFLA_INFO_KIND, "veth");
        NL_NEST (&msg, IFLA_INFO_DATA)
            NL_NEST (&msg, VETH_INFO_PEER) {
                nl_put_link(&msg, 0);
                nl_put_string(&msg, IFLA_IFNAME, "eth0");
                nl_put_u32(&msg, IFLA_NET_NS_PID, (uint32_t)pid);
            }
    }
    check_error(netlink_call(netlink, &msg, &err), &err);
}

/* Within the namespace: loopback, and of the pair's end its address and the way out. */
static void raise_links(bool has_pair)
{
    CLEANUP(netlink_close) struct netlink *netlink = NULL;
    CLEANUP(nl_msg_done) struct nl_msg msg = {};
    int index = has_pair ? (int)if_nametoindex("eth0") : 0;
    struct rtmsg *route;
    struct error err;

    check_error(netlink_open(NETLINK_ROUTE, &netlink, &err), &err);
    nl_msg_init(&msg, RTM_NEWLINK, 0);
    nl_put_link_flags(&msg, 1, IFF_UP, IFF_UP);
    if (has_pair) {
        put_address(&msg, index, BRIDGE_ADDRESS + 1);
        nl_msg_next(&msg, RTM_NEWLINK, 0);
        nl_put_link_flags(&msg, index, IFF_UP, IFF_UP);
        nl_msg_next(&msg, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE);
        route = nl_put_header(&msg, sizeof(*route));
        route->rtm_family = AF_INET;
        route->rtm_table = RT_TABLE_MAIN;
        route->rtm_protocol = RTPROT_BOOT;
        route->rtm_type = RTN_UNICAST;
        nl_put_be32(&msg, RTA_GATEWAY, BRIDGE_ADDRESS);
        nl_put_u32(&msg, RTA_OIF, (uint32_t)index);
    }
    check_error(netlink_call(netlink, &msg, &err), &err);
}

/* ---- files ---- */

static void set(int fs_fd, const char *key, const char *value)
{
    check(fsconfig(fs_fd, FSCONFIG_SET_STRING, key, value, 0) == 0, key);
}

static void scratch(const struct floor *floor, const char *name, char *out)
{
    snprintf(out, PATH_SIZE, "%s/%s", floor->scratch_path, name);
}

static int mount_root(const struct floor *floor)
{
    char path[PATH_SIZE];
    int fs_fd = fsopen("overlay", FSOPEN_CLOEXEC);

    check(fs_fd >= 0, "overlay");
    for (int i = 0; i < floor->layer_count; i++)
        set(fs_fd, "lowerdir+", floor->layers[i]);
    scratch(floor, "diff", path);
    check(mkdir(path, 0755) == 0, path);
    set(fs_fd, "upperdir", path);
    scratch(floor, "work", path);
    check(mkdir(path, 0755) == 0, path);
    set(fs_fd, "workdir", path);
    check(fsconfig(fs_fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0, "overlay");
    int root_fd = fsmount(fs_fd, FSMOUNT_CLOEXEC, 0);
    check(root_fd >= 0, "overlay");
    close(fs_fd);
    return root_fd;
}

static void remove_scratch(const struct floor *floor)
{
    static const char *const names[] = { "work/work", "work", "diff" };
    char path[PATH_SIZE];

    for (size_t i = 0; i < COUNT(names); i++) {
        scratch(floor, names[i], path);
        check(rmdir(path) == 0 || tree_remove(path, NULL) == 0, path);
    }
}

static void mount_all(void)
{
    static const struct {
        const char *path, *type, *options;
        unsigned long flags;
        bool needs_directory;
    } mounts[] = {
        { "proc", "proc", NULL, PLAIN, false },
        { "dev", "tmpfs", "mode=755,size=65536k", MS_NOSUID | MS_STRICTATIME, false },
        { "dev/pts", "devpts", "newinstance,ptmxmode=0666,mode=0620,gid=5", MS_NOSUID | MS_NOEXEC,
          true },
        { "sys", "sysfs", NULL, READ_ONLY, false },
        { "dev/mqueue", "mqueue", NULL, PLAIN, true },
        { "dev/shm", "tmpfs", "mode=1777,size=65536k", PLAIN, true },
    };

    for (size_t i = 0; i < COUNT(mounts); i++) {
        if (mounts[i].needs_directory)
            check(mkdir(mounts[i].path, 0755) == 0, mounts[i].path);
        check(mount(mounts[i].type, mounts[i].path, mounts[i].type, mounts[i].flags,
                    mounts[i].options) == 0,
              mounts[i].path);
    }
}

static void make_devices(void)
{
    static const struct {
        const char *path;
        unsigned minor, major;
    } devices[] = { { "dev/null", 3, 1 },   { "dev/zero", 5, 1 },    { "dev/full", 7, 1 },
                    { "dev/random", 8, 1 }, { "dev/urandom", 9, 1 }, { "dev/tty", 0, 5 } };
    static const char *const links[][2] = { { "/proc/self/fd", "dev/fd" },
                                            { "/proc/self/fd/0", "dev/stdin" },
                                            { "/proc/self/fd/1", "dev/stdout" },
                                            { "/proc/self/fd/2", "dev/stderr" },
                                            { "pts/ptmx", "dev/ptmx" } };

    for (size_t i = 0; i < COUNT(devices); i++)
        check(mknod(devices[i].path, S_IFCHR | 0666, makedev(devices[i].major, devices[i].minor)) ==
                  0,
              devices[i].path);
    for (size_t i = 0; i < COUNT(links); i++)
        check(symlink(links[i][0], links[i][1]) == 0, links[i][1]);
}

static void mount_groups(const struct floor *floor)
{
    bool has_many = floor->group_count > 1; /* hierarchies of version 1 */

    if (has_many)
        check(mount("tmpfs", "sys/fs/cgroup", "tmpfs", PLAIN, "mode=755") == 0, "sys/fs/cgroup");
    for (int i = 0; i < floor->group_count; i++) {
        char path[PATH_SIZE];

        /* Where the hierarchy is on the host, without our group's name and the leading slash. */
        snprintf(path, sizeof(path), "%.*s",
                 (int)(strrchr(floor->groups[i], '/') - floor->groups[i]) - 1,
                 floor->groups[i] + 1);
        if (has_many)
            check(mkdir(path, 0755) == 0, path);
        check(mount(floor->groups[i], path, NULL, MS_BIND, NULL) == 0, path);
        check(mount(NULL, path, NULL, MS_BIND | MS_REMOUNT | READ_ONLY, NULL) == 0, path);
    }
}

static void protect_paths(void)
{
    static const char *const read_only[] = { "proc/bus", "proc/fs", "proc/irq", "proc/sys",
                                             "proc/sysrq-trigger" };
    static const char *const masked_files[] = { "proc/interrupts", "proc/kcore", "proc/keys",
                                                "proc/timer_list" };
    static const char *const masked_directories[] = { "proc/acpi", "proc/scsi", "sys/firmware" };

    for (size_t i = 0; i < COUNT(read_only); i++)
        if (mount(read_only[i], read_only[i], NULL, MS_BIND | MS_REC, NULL) == 0)
            mount(NULL, read_only[i], NULL, MS_BIND | MS_REMOUNT | READ_ONLY, NULL);
    for (size_t i = 0; i < COUNT(masked_files); i++)
        mount("dev/null", masked_files[i], NULL, MS_BIND, NULL);
    for (size_t i = 0; i < COUNT(masked_directories); i++)
        mount("tmpfs", masked_directories[i], "tmpfs", MS_RDONLY, "size=4k,nr_inodes=1");
}

static void change_root(void)
{
    check(syscall(SYS_pivot_root, ".", ".") == 0, "pivot_root");
    check(umount2(".", MNT_DETACH) == 0, "umount");
    check(chdir("/") == 0, "chdir");
}

/* ---- one container ---- */

static void run_child(struct floor *floor, int root_fd, int go_fd, bool has_pair)
{
    static const char *const arguments[] = { "/bin/busybox", "true", NULL };
    static const char *const environment[] = { "PATH=/bin", NULL };
    char target[PATH_SIZE], byte;
    struct error err;

    join_groups(floor);
    scratch(floor, "root", target);
    setsid();
    check(sethostname("floor", 5) == 0, "host name");
    check(mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) == 0, "/");
    check(move_mount(root_fd, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH) == 0, target);
    check(chdir(target) == 0, target);
    mount_all();
    mount_groups(floor);
    make_devices();
    protect_paths();
    change_root();
    check(read(go_fd, &byte, 1) == 1, "network");
    raise_links(has_pair);
    check_error(seccomp_filter_load(floor->filter.data, floor->filter.length, &err), &err);
    execve(arguments[0], (char *const *)arguments, (char *const *)environment);
    check(false, "exec");
}

static void run_one(struct floor *floor, bool has_pair)
{
    int root_fd, go_fds[2], pid_fd, status, group_fd = -1;
    struct error err;

    make_groups(floor);
    if (floor->unified >= 0)
        group_fd = open(floor->groups[floor->unified], O_PATH | O_DIRECTORY | O_CLOEXEC);
    root_fd = mount_root(floor);
    check(pipe2(go_fds, O_CLOEXEC) == 0, "pipe");
    pid_t pid = namespace_clone(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS |
                                    CLONE_NEWNET,
                                group_fd, &pid_fd, &err);
    check_error(pid, &err);
    if (pid == 0)
        run_child(floor, root_fd, go_fds[0], has_pair);
    if (group_fd >= 0)
        close(group_fd);
    close(root_fd);
    close(go_fds[0]);
    if (has_pair)
        make_pair(floor, pid);
    check(write(go_fds[1], "", 1) == 1, "go");
    check(waitpid(pid, &status, 0) == pid && status == 0, "container");
    close(go_fds[1]);
    close(pid_fd);
    remove_groups(floor);
    remove_scratch(floor);
}

int main(int argc, char **argv)
{
    static struct floor floor;
    char line[32], target[PATH_SIZE];
    struct error err;

    if (argc < 4) {
        fprintf(stderr, "kernel_floor <scratch directory> <seccomp filter> <lower directory>...\n");
        return 2;
    }
    floor = (struct floor){ .scratch_path = argv[1], .layers = argv + 3, .layer_count = argc - 3 };
    check_error(file_read(argv[2], 1 << 20, &floor.filter, &err), &err);
    scratch(&floor, "root", target);
    check(mkdir(target, 0755) == 0 || errno == EEXIST, target);
    find_groups(&floor);
    make_bridge(&floor);
    while (fgets(line, sizeof(line), stdin)) {
        uint64_t start_ns = clock_monotonic_ns();

        run_one(&floor, strcmp(line, "bridge\n") == 0);
        printf("%.1f\n", (double)(clock_monotonic_ns() - start_ns) / 1e3);
        fflush(stdout);
    }
    remove_bridge(&floor);
    return 0;
}
