/* Ports as EXPOSE has them. */
#include "build/port.h"

#include <string.h>

#include "base/memory.h"
#include "base/text.h"

#include "base/banned.h"

int port_read(const char *text, struct strv *out, struct error *err)
{
    const char *slash = strchr(text, '/'), *colon;
    CLEANUP(free) char *range = xstrndup(text, slash ? (size_t)(slash - text) : strlen(text));
    CLEANUP(free) char *protocol = xstrdup(slash && slash[1] ? slash + 1 : "tcp");
    int64_t first, last;

    colon = strrchr(range, ':'); /* The part of the host does not matter. */
    const char *port = colon ? colon + 1 : range;
    text_lower(protocol);
    if (strcmp(protocol, "tcp") != 0 && strcmp(protocol, "udp") != 0 &&
        strcmp(protocol, "sctp") != 0)
        return error_set(err, ERROR_INVALID, "Invalid proto: %s", protocol);
    if (*port == 0)
        return error_set(err, ERROR_INVALID, "No port specified: %s<empty>", text);

    const char *dash = strchr(port, '-');
    CLEANUP(free) char *low = xstrndup(port, dash ? (size_t)(dash - port) : strlen(port));
    if (parse_int64(low, 0, 65535, &first, NULL) < 0 ||
        parse_int64(dash ? dash + 1 : low, 0, 65535, &last, NULL) < 0 || last < first)
        return error_set(err, ERROR_INVALID, "Invalid containerPort: %s", port);
    for (int64_t i = first; i <= last; i++)
        strv_add_format(out, "%lld/%s", (long long)i, protocol);
    return 0;
}
