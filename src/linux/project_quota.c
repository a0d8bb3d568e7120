/* The calls that xfs brought (Q_X…): the kernel translates them for ext4. */
#include "linux/project_quota.h"

#include <errno.h>
#include <linux/dqblk_xfs.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/quota.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/macros.h"

#include "base/banned.h"

#ifndef SYS_quotactl_fd
#define SYS_quotactl_fd 443 /* Linux 5.14, the same on all machines */
#endif
#ifndef PRJQUOTA
#define PRJQUOTA 2
#endif

enum { BASIC_BLOCK = 512 };

static int call(int fd, int command, uint32_t id, void *data)
{
    return (int)syscall(SYS_quotactl_fd, fd, (unsigned)QCMD(command, PRJQUOTA), id, data);
}

bool project_quota_works(int dir_fd)
{
    struct fs_quota_statv state = { .qs_version = FS_QSTATV_VERSION1 };

    return call(dir_fd, Q_XGETQSTATV, 0, &state) == 0 && (state.qs_flags & FS_QUOTA_PDQ_ACCT) &&
           (state.qs_flags & FS_QUOTA_PDQ_ENFD);
}

static int find_project(int dir_fd, uint32_t *out)
{
    struct fsxattr attributes;

    if (ioctl(dir_fd, FS_IOC_FSGETXATTR, &attributes) < 0 || attributes.fsx_projid == 0)
        return -1;
    *out = attributes.fsx_projid;
    return 0;
}

static int set_project(int dir_fd, uint32_t *out, struct error *err)
{
    struct fsxattr attributes;
    struct stat status;

    if (fstat(dir_fd, &status) < 0 || ioctl(dir_fd, FS_IOC_FSGETXATTR, &attributes) < 0)
        return error_sys(err, "look at a directory's project");
    attributes.fsx_projid = (uint32_t)status.st_ino;
    attributes.fsx_xflags |= FS_XFLAG_PROJINHERIT;
    if (ioctl(dir_fd, FS_IOC_FSSETXATTR, &attributes) < 0)
        return error_sys(err, "set a directory's project");
    *out = attributes.fsx_projid;
    return 0;
}

static int set_limit(int dir_fd, uint32_t project, uint64_t size_bytes)
{
    struct fs_disk_quota quota = {
        .d_version = FS_DQUOT_VERSION,
        .d_id = project,
        .d_flags = FS_PROJ_QUOTA,
        .d_fieldmask = FS_DQ_BSOFT | FS_DQ_BHARD,
        .d_blk_softlimit = size_bytes / BASIC_BLOCK,
        .d_blk_hardlimit = size_bytes / BASIC_BLOCK,
    };

    return call(dir_fd, Q_XSETQLIM, project, &quota);
}

int project_quota_set(int dir_fd, uint64_t size_bytes, struct error *err)
{
    uint32_t project = 0;

    if (find_project(dir_fd, &project) < 0 && set_project(dir_fd, &project, err) < 0)
        return -1;
    return set_limit(dir_fd, project, size_bytes) < 0 ? error_sys(err, "set a project's limit") : 0;
}

int project_quota_used(int dir_fd, uint64_t *out_bytes)
{
    struct fs_disk_quota quota = {};
    uint32_t project = 0;

    if (find_project(dir_fd, &project) < 0 || call(dir_fd, Q_XGETQUOTA, project, &quota) < 0)
        return -1;
    *out_bytes = quota.d_bcount * BASIC_BLOCK;
    return 0;
}

void project_quota_clear(int dir_fd)
{
    uint32_t project = 0;

    if (find_project(dir_fd, &project) == 0)
        (void)set_limit(dir_fd, project, 0);
}
