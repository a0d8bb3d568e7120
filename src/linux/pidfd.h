/* Processes by descriptor: no signal ever reaches a process that merely got the old one's
 * number. */
#ifndef BERTH_LINUX_PIDFD_H
#define BERTH_LINUX_PIDFD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

/* NOT_FOUND if there is no such process. */
int pidfd_open_process(pid_t pid, struct error *err);

/* NOT_FOUND if it is gone ("process already finished"). */
int pidfd_signal(int pidfd, int signal, struct error *err);

/* Waits for a child: its exit code, or 128 + signal. */
int pidfd_wait(int pidfd, int *out_code, struct error *err);

/* Whether it has ended (a zombie counts as ended). Does not wait, takes nothing away. */
bool pidfd_has_ended(int pidfd);

/* Start time in clock ticks since boot, which together with the pid names a process for good; 0 if
 * there is none. */
uint64_t process_start_time(pid_t pid);

#endif
