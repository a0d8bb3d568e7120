/* The user's terminal: raw mode that is always given back, its size, the detach keys. */
#ifndef BERTH_CLI_TERMINAL_H
#define BERTH_CLI_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

bool terminal_is(int fd);
/* Rows and columns; false if it is no terminal. */
bool terminal_size(int *out_height, int *out_width);
/* Raw mode on stdin, until terminal_restore (also done at exit and when a signal ends us). */
void terminal_raw(void);
void terminal_restore(void);

#endif
