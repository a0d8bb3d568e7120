/* Pseudo terminals. */
#ifndef BERTH_LINUX_PTY_H
#define BERTH_LINUX_PTY_H

#include <termios.h>

#include "base/error.h"

/* A new terminal of the devpts behind 'ptmx_fd', a master opened by the caller from whatever
 * instance it wants (see path_open): verifies that it is one, unlocks it and opens the other side
 * without a path. 'ptmx_fd' becomes the master. */
int pty_open_slave(int ptmx_fd, struct error *err);

/* Makes it the controlling terminal of the calling session leader. */
int pty_make_controlling(int slave_fd, struct error *err);

int pty_resize(int fd, int height, int width, struct error *err);
/* Copies the size of one terminal to another; harmless if 'from_fd' is none. */
void pty_copy_size(int from_fd, int to_fd);

/* Raw mode for relaying; the settings before go to *out_old for pty_restore. */
int pty_make_raw(int fd, struct termios *out_old, struct error *err);
void pty_restore(int fd, const struct termios *old);

#endif
