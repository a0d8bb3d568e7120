/* One row per kind (spec: "JSON errors"). */
#include "api/status.h"

#include "base/banned.h"

int http_status(enum error_kind kind)
{
    switch (kind) {
    case ERROR_NONE:
        return 200;
    case ERROR_INVALID:
        return 400;
    case ERROR_UNAUTHORIZED:
        return 401;
    case ERROR_FORBIDDEN:
        return 403;
    case ERROR_NOT_FOUND:
        return 404;
    case ERROR_CONFLICT:
        return 409;
    case ERROR_NOT_MODIFIED:
        return 304;
    case ERROR_UNSUPPORTED:
        return 501;
    case ERROR_UNAVAILABLE:
        return 503;
    case ERROR_CANCELLED:
    case ERROR_INTERNAL:
        break;
    }
    return 500;
}
