/* String calls that no file of ours may use: they do not know the size of what they write to.
 * Include last. */
#ifndef BERTH_BASE_BANNED_H
#define BERTH_BASE_BANNED_H

/* macros of their own in some C libraries */
#undef sprintf
#undef vsprintf

#pragma GCC poison strcpy strcat strncpy strncat sprintf vsprintf gets atoi atol atoll strtok

#endif
