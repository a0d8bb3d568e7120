/* Programs for other processors: the kernel hands them to an interpreter (an emulator) that was
 * registered with binfmt_misc. https://docs.kernel.org/admin-guide/binfmt-misc.html */
#ifndef BERTH_LINUX_BINFMT_H
#define BERTH_LINUX_BINFMT_H

#include <stdbool.h>

#define BINFMT_PATH "/proc/sys/fs/binfmt_misc"

/* Is an interpreter for this architecture ("arm64", as images name it) registered below 'path' that
 * works with any root file system: one that was opened when it was registered (flag F)? */
bool binfmt_runs(const char *path, const char *architecture);

#endif
