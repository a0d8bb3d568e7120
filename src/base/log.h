/* The log of a program: one line per event on stderr, key="value" pairs behind the message. Floors
 * below engine do not log (log_debug excepted): they return errors. */
#ifndef BERTH_BASE_LOG_H
#define BERTH_BASE_LOG_H

#include <stdbool.h>

#include "base/error.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

void log_set_level(enum log_level level);
int log_level_parse(const char *name, enum log_level *out,
                    struct error *err); /* debug info warn error fatal */
void log_set_json(bool json);

/* Added to every line that this thread writes, until set to NULL. Borrowed. */
void log_set_request(const char *request_id);

/* Pairs of (const char *key, const char *value), ended by NULL. */
void log_write(enum log_level level, const char *message, ...) __attribute__((sentinel));

#define log_debug(...) log_write(LOG_DEBUG, __VA_ARGS__, NULL)
#define log_info(...)  log_write(LOG_INFO, __VA_ARGS__, NULL)
#define log_warn(...)  log_write(LOG_WARN, __VA_ARGS__, NULL)
#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__, NULL)

#endif
