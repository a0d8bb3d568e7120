/* From the kinds of errors to status codes of HTTP: the only place that knows both. */
#ifndef BERTH_API_STATUS_H
#define BERTH_API_STATUS_H

#include "base/error.h"

int http_status(enum error_kind kind);

#endif
