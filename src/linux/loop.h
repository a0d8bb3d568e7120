/* Files as block devices. */
#ifndef BERTH_LINUX_LOOP_H
#define BERTH_LINUX_LOOP_H

#include "base/error.h"

/* A loop device over the file 'file_fd' (open for reading and writing); its path ("/dev/loop3") is
 * the caller's. The device is free again when nothing has it open or mounted, so the descriptor in
 * *out_fd has to stay until it is mounted. UNSUPPORTED if the kernel has no loop devices. */
int loop_attach(int file_fd, char **out_path, int *out_fd, struct error *err);

#endif
