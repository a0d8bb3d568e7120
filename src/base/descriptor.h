/* Descriptors that go from one process to another over a unix socket (SCM_RIGHTS), and two that are
 * waited for as one. */
#ifndef BERTH_BASE_DESCRIPTOR_H
#define BERTH_BASE_DESCRIPTOR_H

#include <sys/types.h>

#include "base/error.h"

/* One message: 'size' bytes, and with them 'fd' (-1: none), which stays the caller's. A stream
 * carries a descriptor only with at least one byte. Returns how many bytes went. */
ssize_t descriptor_send(int socket_fd, const void *data, size_t size, int fd, struct error *err);

/* Up to 'size' bytes of one message, 0 at the end; *out_fd is the descriptor that came along, close
 * on exec, or -1: also when there was no room for it in this process. Of several the first is
 * kept. */
ssize_t descriptor_receive(int socket_fd, void *data, size_t size, int *out_fd, struct error *err);

/* Closes a descriptor of somebody else's, who may be the one that serves its file and make a close
 * last as long as he likes: a thread of its own waits. */
void descriptor_discard(int fd);

/* Becomes readable when one of the two (-1: none) is, or has ended. */
int descriptor_either(int a_fd, int b_fd, struct error *err);

#endif
